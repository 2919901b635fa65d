/* Windows Installer's own functions on what we write.
 *
 * transform.exe LIST
 *
 * Each line of LIST is one of
 *
 *   apply|BASE|TRANSFORM|CONDITIONS|OUTPUT   OUTPUT becomes what TRANSFORM makes of BASE; CONDITIONS (decimal) are suppressed
 *   patch|FILE                               FILE is opened as a patch; its summary information is printed
 *   generate|NEW|OLD|OUTPUT                  OUTPUT becomes the transform that makes NEW of OLD
 *
 * For each, one line is printed: the result of the last call in decimal, and what was asked for.
 */
#include <windows.h>
#include <msi.h>
#include <msiquery.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static WCHAR *wide(const char *text)
{
    int len = MultiByteToWideChar(CP_UTF8, 0, text, -1, NULL, 0);
    WCHAR *made = malloc(len * sizeof(WCHAR));
    MultiByteToWideChar(CP_UTF8, 0, text, -1, made, len);
    return made;
}

static void apply(const char *base, const char *transform, const char *conditions, const char *output)
{
    MSIHANDLE database;
    UINT result = MsiOpenDatabaseW(wide(base), wide(output), &database);
    if (!result) {
        result = MsiDatabaseApplyTransformW(database, wide(transform), atoi(conditions));
        if (!result)
            result = MsiDatabaseCommit(database);
        MsiCloseHandle(database);
    }
    printf("%u\n", result);
}

static void patch(const char *file)
{
    MSIHANDLE database, summary;
    UINT result = MsiOpenDatabaseW(wide(file), (LPCWSTR)((char *)MSIDBOPEN_READONLY + MSIDBOPEN_PATCHFILE), &database);
    if (result) {
        printf("%u\n", result);
        return;
    }
    result = MsiGetSummaryInformationW(database, NULL, 0, &summary);
    printf("%u", result);
    for (UINT number = 1; !result && number < 20; number++) {
        UINT type;
        INT value;
        FILETIME time;
        char text[4096];
        DWORD len = sizeof text;
        if (MsiSummaryInfoGetPropertyA(summary, number, &type, &value, &time, text, &len))
            continue;
        if (type == 30)
            printf(" %u=%s", number, text);
        else if (type == 2 || type == 3)
            printf(" %u=%d", number, value);
    }
    printf("\n");
}

static void generate(const char *new, const char *old, const char *output)
{
    MSIHANDLE of_new, of_old;
    UINT result = MsiOpenDatabaseW(wide(new), (LPCWSTR)MSIDBOPEN_READONLY, &of_new);
    if (!result)
        result = MsiOpenDatabaseW(wide(old), (LPCWSTR)MSIDBOPEN_READONLY, &of_old);
    if (!result)
        result = MsiDatabaseGenerateTransformW(of_new, of_old, wide(output), 0, 0);
    printf("%u %d\n", result, GetFileAttributesW(wide(output)) != INVALID_FILE_ATTRIBUTES);
}

int main(int argc, char **argv)
{
    char line[4096];
    FILE *list = argc == 2 ? fopen(argv[1], "r") : NULL;
    if (!list)
        return 2;
    while (fgets(line, sizeof line, list)) {
        char *words[5] = { NULL };
        int count = 0;
        for (char *word = strtok(line, "|\r\n"); word && count < 5; word = strtok(NULL, "|\r\n"))
            words[count++] = word;
        if (count == 5 && !strcmp(words[0], "apply"))
            apply(words[1], words[2], words[3], words[4]);
        else if (count == 2 && !strcmp(words[0], "patch"))
            patch(words[1]);
        else if (count == 4 && !strcmp(words[0], "generate"))
            generate(words[1], words[2], words[3]);
        else
            return 2;
        fflush(stdout);
    }
    return 0;
}
