/* Applies patches with Wine's mspatcha.dll.
 *
 * apply.exe LIST: each line of LIST is "patch|old|new", with "-" for no old file. Prints for each line the result of
 * ApplyPatchToFileA and, where that is 0, the error code in hexadecimal.
 */
#include <windows.h>
#include <stdio.h>
#include <string.h>

typedef BOOL (WINAPI *apply_fn)(LPCSTR patch, LPCSTR old, LPCSTR new, ULONG flags);

int main(int argc, char **argv)
{
    HMODULE module = LoadLibraryA("mspatcha.dll");
    apply_fn apply = module ? (apply_fn)(void *)GetProcAddress(module, "ApplyPatchToFileA") : NULL;
    FILE *list = argc == 2 ? fopen(argv[1], "r") : NULL;
    char line[4096];

    if (!apply || !list)
        return 2;
    while (fgets(line, sizeof line, list)) {
        char *patch = strtok(line, "|");
        char *old = strtok(NULL, "|");
        char *new = strtok(NULL, "|\r\n");
        BOOL done;
        if (!patch || !old || !new)
            return 3;
        SetLastError(0);
        done = apply(patch, strcmp(old, "-") ? old : NULL, new, 0);
        printf("%d %08lx\n", done, done ? 0 : GetLastError());
    }
    return 0;
}
