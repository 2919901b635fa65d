
using namespace System.Management.Automation
using namespace System.Management.Automation.Language

Register-ArgumentCompleter -Native -CommandName 'patchwright' -ScriptBlock {
    param($wordToComplete, $commandAst, $cursorPosition)

    $commandElements = $commandAst.CommandElements
    $command = @(
        'patchwright'
        for ($i = 1; $i -lt $commandElements.Count; $i++) {
            $element = $commandElements[$i]
            if ($element -isnot [StringConstantExpressionAst] -or
                $element.StringConstantType -ne [StringConstantType]::BareWord -or
                $element.Value.StartsWith('-') -or
                $element.Value -eq $wordToComplete) {
                break
        }
        $element.Value
    }) -join ';'

    $completions = @(switch ($command) {
        'patchwright' {
            [CompletionResult]::new('--color', '--color', [CompletionResultType]::ParameterName, 'Colour the output: auto, always or never; auto means on a terminal, unless NO_COLOR is set')
            [CompletionResult]::new('--json', '--json', [CompletionResultType]::ParameterName, 'Print one JSON object instead of text')
            [CompletionResult]::new('-q', '-q', [CompletionResultType]::ParameterName, 'Show no progress and no notes; warnings and errors stay')
            [CompletionResult]::new('--quiet', '--quiet', [CompletionResultType]::ParameterName, 'Show no progress and no notes; warnings and errors stay')
            [CompletionResult]::new('-h', '-h', [CompletionResultType]::ParameterName, 'Print help (see more with ''--help'')')
            [CompletionResult]::new('--help', '--help', [CompletionResultType]::ParameterName, 'Print help (see more with ''--help'')')
            [CompletionResult]::new('-V', '-V ', [CompletionResultType]::ParameterName, 'Print version')
            [CompletionResult]::new('--version', '--version', [CompletionResultType]::ParameterName, 'Print version')
            [CompletionResult]::new('diff', 'diff', [CompletionResultType]::ParameterValue, 'Make a patch that leads from each OLD version to the NEW one')
            [CompletionResult]::new('apply', 'apply', [CompletionResultType]::ParameterValue, 'Turn TARGET into the new version')
            [CompletionResult]::new('revert', 'revert', [CompletionResultType]::ParameterValue, 'Take a patch back: TARGET becomes what it was before')
            [CompletionResult]::new('status', 'status', [CompletionResultType]::ParameterValue, 'Show which patches TARGET has that can be taken back, and which patches processes have')
            [CompletionResult]::new('inspect', 'inspect', [CompletionResultType]::ParameterValue, 'Show what is in PATCH: versions, ranges, sizes, methods, and where the bytes went')
            [CompletionResult]::new('verify', 'verify', [CompletionResultType]::ParameterValue, 'Say whether PATCH is whole and, with TARGET, whether it would apply')
            [CompletionResult]::new('check', 'check', [CompletionResultType]::ParameterValue, 'Say which functions of IMAGE can be redirected while it runs')
            [CompletionResult]::new('cc', 'cc', [CompletionResultType]::ParameterValue, 'Compile and link with GCC, Clang or rustc so that every function can be redirected')
            [CompletionResult]::new('cl', 'cl', [CompletionResultType]::ParameterValue, 'Compile as cl does, with /hotpatch on every machine')
            [CompletionResult]::new('link', 'link', [CompletionResultType]::ParameterValue, 'Link as link does, and audit what /functionpadmin promised')
            [CompletionResult]::new('prepare', 'prepare', [CompletionResultType]::ParameterValue, 'Make objects hot-patchable that were compiled without it')
            [CompletionResult]::new('ld', 'ld', [CompletionResultType]::ParameterValue, 'Link with prepared copies of all objects and archives')
            [CompletionResult]::new('pcp', 'pcp', [CompletionResultType]::ParameterValue, 'Patch creation properties: what a Windows Installer patch is made of')
            [CompletionResult]::new('msp', 'msp', [CompletionResultType]::ParameterValue, 'Patches of Windows Installer (.msp)')
            [CompletionResult]::new('msimsp', 'msimsp', [CompletionResultType]::ParameterValue, 'Build a patch with the flags of Msimsp.exe')
            [CompletionResult]::new('completions', 'completions', [CompletionResultType]::ParameterValue, 'Print the completion script of a shell')
            [CompletionResult]::new('man', 'man', [CompletionResultType]::ParameterValue, 'Print the manual page, or write those of all verbs')
            [CompletionResult]::new('help', 'help', [CompletionResultType]::ParameterValue, 'Print this message or the help of the given subcommand(s)')
            break
        }
        'patchwright;diff' {
            [CompletionResult]::new('-o', '-o', [CompletionResultType]::ParameterName, 'Where to write the patch')
            [CompletionResult]::new('--output', '--output', [CompletionResultType]::ParameterName, 'Where to write the patch')
            [CompletionResult]::new('--ignore', '--ignore', [CompletionResultType]::ParameterName, 'Ranges of the old file whose content does not matter')
            [CompletionResult]::new('--retain', '--retain', [CompletionResultType]::ParameterName, 'Ranges that keep what they hold in the file being patched')
            [CompletionResult]::new('--regions', '--regions', [CompletionResultType]::ParameterName, 'A file that lists ignored and retained ranges by path; the way to give those of folders')
            [CompletionResult]::new('--profile', '--profile', [CompletionResultType]::ParameterName, 'What the patch is made for [default: small, or raw with --format pa19]')
            [CompletionResult]::new('--max-memory', '--max-memory', [CompletionResultType]::ParameterName, 'Most memory that matching may use, such as 2GiB or 512MiB; a smaller limit may make a larger patch')
            [CompletionResult]::new('--threads', '--threads', [CompletionResultType]::ParameterName, 'Threads to use; all cores without it')
            [CompletionResult]::new('--format', '--format', [CompletionResultType]::ParameterName, 'The format of the patch')
            [CompletionResult]::new('--old-objects', '--old-objects', [CompletionResultType]::ParameterName, 'The objects that OLD was linked from, in a folder and the folders in it; archives too')
            [CompletionResult]::new('--new-objects', '--new-objects', [CompletionResultType]::ParameterName, 'The objects that NEW was linked from, likewise')
            [CompletionResult]::new('--lzx', '--lzx', [CompletionResultType]::ParameterName, 'Whether the compressor translates relative calls [default: best]')
            [CompletionResult]::new('--color', '--color', [CompletionResultType]::ParameterName, 'Colour the output: auto, always or never; auto means on a terminal, unless NO_COLOR is set')
            [CompletionResult]::new('--hot', '--hot', [CompletionResultType]::ParameterName, 'Make a part for running processes too, so that `apply --running` and `apply --pid` work')
            [CompletionResult]::new('--fast', '--fast', [CompletionResultType]::ParameterName, 'Search less for matches: much faster, and larger')
            [CompletionResult]::new('--large-window', '--large-window', [CompletionResultType]::ParameterName, 'Allow windows of 32 MiB instead of 8, for files larger than that')
            [CompletionResult]::new('--fail-if-same', '--fail-if-same', [CompletionResultType]::ParameterName, 'Fail when the old file is the new one already')
            [CompletionResult]::new('--fail-if-bigger', '--fail-if-bigger', [CompletionResultType]::ParameterName, 'Fail when the patch is no smaller than the new file compressed')
            [CompletionResult]::new('--no-timestamp', '--no-timestamp', [CompletionResultType]::ParameterName, 'Leave the new file''s time of change out of the patch')
            [CompletionResult]::new('--json', '--json', [CompletionResultType]::ParameterName, 'Print one JSON object instead of text')
            [CompletionResult]::new('-q', '-q', [CompletionResultType]::ParameterName, 'Show no progress and no notes; warnings and errors stay')
            [CompletionResult]::new('--quiet', '--quiet', [CompletionResultType]::ParameterName, 'Show no progress and no notes; warnings and errors stay')
            [CompletionResult]::new('-h', '-h', [CompletionResultType]::ParameterName, 'Print help (see more with ''--help'')')
            [CompletionResult]::new('--help', '--help', [CompletionResultType]::ParameterName, 'Print help (see more with ''--help'')')
            break
        }
        'patchwright;apply' {
            [CompletionResult]::new('-o', '-o', [CompletionResultType]::ParameterName, 'Write the result here and leave TARGET alone')
            [CompletionResult]::new('--output', '--output', [CompletionResultType]::ParameterName, 'Write the result here and leave TARGET alone')
            [CompletionResult]::new('--pid', '--pid', [CompletionResultType]::ParameterName, 'Also this process; may be given several times')
            [CompletionResult]::new('--pause', '--pause', [CompletionResultType]::ParameterName, 'Longest time that a process may stand still at once, in milliseconds')
            [CompletionResult]::new('--deadline', '--deadline', [CompletionResultType]::ParameterName, 'Longest time to try for each process, in seconds')
            [CompletionResult]::new('--color', '--color', [CompletionResultType]::ParameterName, 'Colour the output: auto, always or never; auto means on a terminal, unless NO_COLOR is set')
            [CompletionResult]::new('--dry-run', '--dry-run', [CompletionResultType]::ParameterName, 'Do everything but the change')
            [CompletionResult]::new('--no-undo', '--no-undo', [CompletionResultType]::ParameterName, 'Keep nothing for `revert`: the patch cannot be taken back')
            [CompletionResult]::new('--break-hard-links', '--break-hard-links', [CompletionResultType]::ParameterName, 'Replace TARGET although it has other names (hard links), which stay at the old version')
            [CompletionResult]::new('--running', '--running', [CompletionResultType]::ParameterName, 'Also every process that runs an old version which the patch knows, wherever its file is')
            [CompletionResult]::new('--cold-only', '--cold-only', [CompletionResultType]::ParameterName, 'The file alone, no process')
            [CompletionResult]::new('--hot-only', '--hot-only', [CompletionResultType]::ParameterName, 'The processes alone; the file stays as it is')
            [CompletionResult]::new('--accept-suspended', '--accept-suspended', [CompletionResultType]::ParameterName, 'Do not look for suspended stacks (coroutines, swapcontext); one in a changed function goes on in the old code')
            [CompletionResult]::new('--json', '--json', [CompletionResultType]::ParameterName, 'Print one JSON object instead of text')
            [CompletionResult]::new('-q', '-q', [CompletionResultType]::ParameterName, 'Show no progress and no notes; warnings and errors stay')
            [CompletionResult]::new('--quiet', '--quiet', [CompletionResultType]::ParameterName, 'Show no progress and no notes; warnings and errors stay')
            [CompletionResult]::new('-h', '-h', [CompletionResultType]::ParameterName, 'Print help (see more with ''--help'')')
            [CompletionResult]::new('--help', '--help', [CompletionResultType]::ParameterName, 'Print help (see more with ''--help'')')
            break
        }
        'patchwright;revert' {
            [CompletionResult]::new('--pid', '--pid', [CompletionResultType]::ParameterName, 'Also this process; may be given several times')
            [CompletionResult]::new('--pause', '--pause', [CompletionResultType]::ParameterName, 'Longest time that a process may stand still at once, in milliseconds')
            [CompletionResult]::new('--deadline', '--deadline', [CompletionResultType]::ParameterName, 'Longest time to try for each process, in seconds')
            [CompletionResult]::new('--color', '--color', [CompletionResultType]::ParameterName, 'Colour the output: auto, always or never; auto means on a terminal, unless NO_COLOR is set')
            [CompletionResult]::new('--dry-run', '--dry-run', [CompletionResultType]::ParameterName, 'Do everything but the change')
            [CompletionResult]::new('--break-hard-links', '--break-hard-links', [CompletionResultType]::ParameterName, 'Replace TARGET although it has other names (hard links), which stay as they are')
            [CompletionResult]::new('--running', '--running', [CompletionResultType]::ParameterName, 'Also every process that runs an old version which the patch knows, wherever its file is')
            [CompletionResult]::new('--cold-only', '--cold-only', [CompletionResultType]::ParameterName, 'The file alone, no process')
            [CompletionResult]::new('--hot-only', '--hot-only', [CompletionResultType]::ParameterName, 'The processes alone; the file stays as it is')
            [CompletionResult]::new('--accept-suspended', '--accept-suspended', [CompletionResultType]::ParameterName, 'Do not look for suspended stacks (coroutines, swapcontext); one in a changed function goes on in the old code')
            [CompletionResult]::new('--json', '--json', [CompletionResultType]::ParameterName, 'Print one JSON object instead of text')
            [CompletionResult]::new('-q', '-q', [CompletionResultType]::ParameterName, 'Show no progress and no notes; warnings and errors stay')
            [CompletionResult]::new('--quiet', '--quiet', [CompletionResultType]::ParameterName, 'Show no progress and no notes; warnings and errors stay')
            [CompletionResult]::new('-h', '-h', [CompletionResultType]::ParameterName, 'Print help (see more with ''--help'')')
            [CompletionResult]::new('--help', '--help', [CompletionResultType]::ParameterName, 'Print help (see more with ''--help'')')
            break
        }
        'patchwright;status' {
            [CompletionResult]::new('--pid', '--pid', [CompletionResultType]::ParameterName, 'A process in question; may be given several times. It is not stopped')
            [CompletionResult]::new('--color', '--color', [CompletionResultType]::ParameterName, 'Colour the output: auto, always or never; auto means on a terminal, unless NO_COLOR is set')
            [CompletionResult]::new('--json', '--json', [CompletionResultType]::ParameterName, 'Print one JSON object instead of text')
            [CompletionResult]::new('-q', '-q', [CompletionResultType]::ParameterName, 'Show no progress and no notes; warnings and errors stay')
            [CompletionResult]::new('--quiet', '--quiet', [CompletionResultType]::ParameterName, 'Show no progress and no notes; warnings and errors stay')
            [CompletionResult]::new('-h', '-h', [CompletionResultType]::ParameterName, 'Print help (see more with ''--help'')')
            [CompletionResult]::new('--help', '--help', [CompletionResultType]::ParameterName, 'Print help (see more with ''--help'')')
            break
        }
        'patchwright;inspect' {
            [CompletionResult]::new('--extract-header', '--extract-header', [CompletionResultType]::ParameterName, 'Write the header of a PA19 patch here, as a patch without streams')
            [CompletionResult]::new('--ignore', '--ignore', [CompletionResultType]::ParameterName, 'Ranges that read as zero in the signature')
            [CompletionResult]::new('--color', '--color', [CompletionResultType]::ParameterName, 'Colour the output: auto, always or never; auto means on a terminal, unless NO_COLOR is set')
            [CompletionResult]::new('--signature', '--signature', [CompletionResultType]::ParameterName, 'Take PATCH for any file and print the signature that the Windows patch API gives it')
            [CompletionResult]::new('--md5', '--md5', [CompletionResultType]::ParameterName, 'MD5 instead of CRC-32')
            [CompletionResult]::new('--json', '--json', [CompletionResultType]::ParameterName, 'Print one JSON object instead of text')
            [CompletionResult]::new('-q', '-q', [CompletionResultType]::ParameterName, 'Show no progress and no notes; warnings and errors stay')
            [CompletionResult]::new('--quiet', '--quiet', [CompletionResultType]::ParameterName, 'Show no progress and no notes; warnings and errors stay')
            [CompletionResult]::new('-h', '-h', [CompletionResultType]::ParameterName, 'Print help (see more with ''--help'')')
            [CompletionResult]::new('--help', '--help', [CompletionResultType]::ParameterName, 'Print help (see more with ''--help'')')
            break
        }
        'patchwright;verify' {
            [CompletionResult]::new('--color', '--color', [CompletionResultType]::ParameterName, 'Colour the output: auto, always or never; auto means on a terminal, unless NO_COLOR is set')
            [CompletionResult]::new('--json', '--json', [CompletionResultType]::ParameterName, 'Print one JSON object instead of text')
            [CompletionResult]::new('-q', '-q', [CompletionResultType]::ParameterName, 'Show no progress and no notes; warnings and errors stay')
            [CompletionResult]::new('--quiet', '--quiet', [CompletionResultType]::ParameterName, 'Show no progress and no notes; warnings and errors stay')
            [CompletionResult]::new('-h', '-h', [CompletionResultType]::ParameterName, 'Print help (see more with ''--help'')')
            [CompletionResult]::new('--help', '--help', [CompletionResultType]::ParameterName, 'Print help (see more with ''--help'')')
            break
        }
        'patchwright;check' {
            [CompletionResult]::new('--require', '--require', [CompletionResultType]::ParameterName, 'Which functions must be hot-patchable [default: own]')
            [CompletionResult]::new('--list', '--list', [CompletionResultType]::ParameterName, 'Names for --require list: one per line, # begins a comment')
            [CompletionResult]::new('--min-pad', '--min-pad', [CompletionResultType]::ParameterName, 'Bytes of pad before each entry [default: 5 on x86, 6 on x86-64, 8 on ARM, 0 on ARM64]')
            [CompletionResult]::new('--allow', '--allow', [CompletionResultType]::ParameterName, 'Names of functions that may fail: one per line, # begins a comment')
            [CompletionResult]::new('--pdb', '--pdb', [CompletionResultType]::ParameterName, 'The program database of a PE image [default: the one beside IMAGE that belongs to it]')
            [CompletionResult]::new('--function', '--function', [CompletionResultType]::ParameterName, 'Ask for this function alone, and show its bytes')
            [CompletionResult]::new('--color', '--color', [CompletionResultType]::ParameterName, 'Colour the output: auto, always or never; auto means on a terminal, unless NO_COLOR is set')
            [CompletionResult]::new('--sarif', '--sarif', [CompletionResultType]::ParameterName, 'Print what fails as SARIF 2.1.0, for build servers')
            [CompletionResult]::new('--json', '--json', [CompletionResultType]::ParameterName, 'Print one JSON object instead of text')
            [CompletionResult]::new('-q', '-q', [CompletionResultType]::ParameterName, 'Show no progress and no notes; warnings and errors stay')
            [CompletionResult]::new('--quiet', '--quiet', [CompletionResultType]::ParameterName, 'Show no progress and no notes; warnings and errors stay')
            [CompletionResult]::new('-h', '-h', [CompletionResultType]::ParameterName, 'Print help (see more with ''--help'')')
            [CompletionResult]::new('--help', '--help', [CompletionResultType]::ParameterName, 'Print help (see more with ''--help'')')
            break
        }
        'patchwright;cc' {
            [CompletionResult]::new('--pad', '--pad', [CompletionResultType]::ParameterName, 'Bytes of pad before each entry [default: 5 on x86, 6 on x86-64, 16 on ARM64]')
            [CompletionResult]::new('--audit', '--audit', [CompletionResultType]::ParameterName, 'Audit what is linked: off, warn or error [default: warn]')
            [CompletionResult]::new('--report', '--report', [CompletionResultType]::ParameterName, 'Write what was done as JSON; of a folder into a file named like the image')
            [CompletionResult]::new('--color', '--color', [CompletionResultType]::ParameterName, 'Colour the output: auto, always or never; auto means on a terminal, unless NO_COLOR is set')
            [CompletionResult]::new('--no-emit-relocs', '--no-emit-relocs', [CompletionResultType]::ParameterName, 'Leave no relocations in ELF images')
            [CompletionResult]::new('--prepare', '--prepare', [CompletionResultType]::ParameterName, 'Prepare objects and static libraries that others made, at the link')
            [CompletionResult]::new('-v', '-v', [CompletionResultType]::ParameterName, 'Tell what is good to know, not only what breaks the promise')
            [CompletionResult]::new('--verbose', '--verbose', [CompletionResultType]::ParameterName, 'Tell what is good to know, not only what breaks the promise')
            [CompletionResult]::new('--dry-run', '--dry-run', [CompletionResultType]::ParameterName, 'Print what would be run, and run nothing')
            [CompletionResult]::new('--json', '--json', [CompletionResultType]::ParameterName, 'Print one JSON object instead of text')
            [CompletionResult]::new('-q', '-q', [CompletionResultType]::ParameterName, 'Show no progress and no notes; warnings and errors stay')
            [CompletionResult]::new('--quiet', '--quiet', [CompletionResultType]::ParameterName, 'Show no progress and no notes; warnings and errors stay')
            [CompletionResult]::new('-h', '-h', [CompletionResultType]::ParameterName, 'Print help (see more with ''--help'')')
            [CompletionResult]::new('--help', '--help', [CompletionResultType]::ParameterName, 'Print help (see more with ''--help'')')
            break
        }
        'patchwright;cl' {
            [CompletionResult]::new('--tool', '--tool', [CompletionResultType]::ParameterName, 'The compiler to run [default: PATCHWRIGHT_CL, else cl or clang-cl on PATH]')
            [CompletionResult]::new('--audit', '--audit', [CompletionResultType]::ParameterName, 'Audit what is linked: off, warn or error [default: warn]')
            [CompletionResult]::new('--report', '--report', [CompletionResultType]::ParameterName, 'Write what was done as JSON; of a folder into a file named like the image')
            [CompletionResult]::new('--color', '--color', [CompletionResultType]::ParameterName, 'Colour the output: auto, always or never; auto means on a terminal, unless NO_COLOR is set')
            [CompletionResult]::new('-v', '-v', [CompletionResultType]::ParameterName, 'Tell what is good to know, not only what breaks the promise')
            [CompletionResult]::new('--verbose', '--verbose', [CompletionResultType]::ParameterName, 'Tell what is good to know, not only what breaks the promise')
            [CompletionResult]::new('--dry-run', '--dry-run', [CompletionResultType]::ParameterName, 'Print what would be run, and run nothing')
            [CompletionResult]::new('--json', '--json', [CompletionResultType]::ParameterName, 'Print one JSON object instead of text')
            [CompletionResult]::new('-q', '-q', [CompletionResultType]::ParameterName, 'Show no progress and no notes; warnings and errors stay')
            [CompletionResult]::new('--quiet', '--quiet', [CompletionResultType]::ParameterName, 'Show no progress and no notes; warnings and errors stay')
            [CompletionResult]::new('-h', '-h', [CompletionResultType]::ParameterName, 'Print help (see more with ''--help'')')
            [CompletionResult]::new('--help', '--help', [CompletionResultType]::ParameterName, 'Print help (see more with ''--help'')')
            break
        }
        'patchwright;link' {
            [CompletionResult]::new('--tool', '--tool', [CompletionResultType]::ParameterName, 'The linker to run [default: PATCHWRIGHT_LINK, else link or lld-link on PATH]')
            [CompletionResult]::new('--audit', '--audit', [CompletionResultType]::ParameterName, 'Audit what is linked: off, warn or error [default: warn]')
            [CompletionResult]::new('--report', '--report', [CompletionResultType]::ParameterName, 'Write what was done as JSON; of a folder into a file named like the image')
            [CompletionResult]::new('--color', '--color', [CompletionResultType]::ParameterName, 'Colour the output: auto, always or never; auto means on a terminal, unless NO_COLOR is set')
            [CompletionResult]::new('-v', '-v', [CompletionResultType]::ParameterName, 'Tell what is good to know, not only what breaks the promise')
            [CompletionResult]::new('--verbose', '--verbose', [CompletionResultType]::ParameterName, 'Tell what is good to know, not only what breaks the promise')
            [CompletionResult]::new('--dry-run', '--dry-run', [CompletionResultType]::ParameterName, 'Print what would be run, and run nothing')
            [CompletionResult]::new('--json', '--json', [CompletionResultType]::ParameterName, 'Print one JSON object instead of text')
            [CompletionResult]::new('-q', '-q', [CompletionResultType]::ParameterName, 'Show no progress and no notes; warnings and errors stay')
            [CompletionResult]::new('--quiet', '--quiet', [CompletionResultType]::ParameterName, 'Show no progress and no notes; warnings and errors stay')
            [CompletionResult]::new('-h', '-h', [CompletionResultType]::ParameterName, 'Print help (see more with ''--help'')')
            [CompletionResult]::new('--help', '--help', [CompletionResultType]::ParameterName, 'Print help (see more with ''--help'')')
            break
        }
        'patchwright;prepare' {
            [CompletionResult]::new('-o', '-o', [CompletionResultType]::ParameterName, 'The folder for the copies; it is made if it is not there')
            [CompletionResult]::new('--output', '--output', [CompletionResultType]::ParameterName, 'The folder for the copies; it is made if it is not there')
            [CompletionResult]::new('--min-pad', '--min-pad', [CompletionResultType]::ParameterName, 'Bytes of pad before each entry [default: 5 on x86, 6 on x86-64, 16 on ARM64]')
            [CompletionResult]::new('--color', '--color', [CompletionResultType]::ParameterName, 'Colour the output: auto, always or never; auto means on a terminal, unless NO_COLOR is set')
            [CompletionResult]::new('--json', '--json', [CompletionResultType]::ParameterName, 'Print one JSON object instead of text')
            [CompletionResult]::new('-q', '-q', [CompletionResultType]::ParameterName, 'Show no progress and no notes; warnings and errors stay')
            [CompletionResult]::new('--quiet', '--quiet', [CompletionResultType]::ParameterName, 'Show no progress and no notes; warnings and errors stay')
            [CompletionResult]::new('-h', '-h', [CompletionResultType]::ParameterName, 'Print help (see more with ''--help'')')
            [CompletionResult]::new('--help', '--help', [CompletionResultType]::ParameterName, 'Print help (see more with ''--help'')')
            break
        }
        'patchwright;ld' {
            [CompletionResult]::new('--color', '--color', [CompletionResultType]::ParameterName, 'Colour the output: auto, always or never; auto means on a terminal, unless NO_COLOR is set')
            [CompletionResult]::new('--json', '--json', [CompletionResultType]::ParameterName, 'Print one JSON object instead of text')
            [CompletionResult]::new('-q', '-q', [CompletionResultType]::ParameterName, 'Show no progress and no notes; warnings and errors stay')
            [CompletionResult]::new('--quiet', '--quiet', [CompletionResultType]::ParameterName, 'Show no progress and no notes; warnings and errors stay')
            [CompletionResult]::new('-h', '-h', [CompletionResultType]::ParameterName, 'Print help (see more with ''--help'')')
            [CompletionResult]::new('--help', '--help', [CompletionResultType]::ParameterName, 'Print help (see more with ''--help'')')
            break
        }
        'patchwright;pcp' {
            [CompletionResult]::new('--color', '--color', [CompletionResultType]::ParameterName, 'Colour the output: auto, always or never; auto means on a terminal, unless NO_COLOR is set')
            [CompletionResult]::new('--json', '--json', [CompletionResultType]::ParameterName, 'Print one JSON object instead of text')
            [CompletionResult]::new('-q', '-q', [CompletionResultType]::ParameterName, 'Show no progress and no notes; warnings and errors stay')
            [CompletionResult]::new('--quiet', '--quiet', [CompletionResultType]::ParameterName, 'Show no progress and no notes; warnings and errors stay')
            [CompletionResult]::new('-h', '-h', [CompletionResultType]::ParameterName, 'Print help (see more with ''--help'')')
            [CompletionResult]::new('--help', '--help', [CompletionResultType]::ParameterName, 'Print help (see more with ''--help'')')
            [CompletionResult]::new('new', 'new', [CompletionResultType]::ParameterValue, 'Write a starting PCP that leads from old installers to a new one')
            [CompletionResult]::new('export', 'export', [CompletionResultType]::ParameterValue, 'Write each table as a text archive (.idt) into a folder')
            [CompletionResult]::new('import', 'import', [CompletionResultType]::ParameterValue, 'Make a database of the text archives in a folder')
            [CompletionResult]::new('check', 'check', [CompletionResultType]::ParameterValue, 'List everything that is wrong with a PCP, with the codes of PATCHWIZ')
            [CompletionResult]::new('help', 'help', [CompletionResultType]::ParameterValue, 'Print this message or the help of the given subcommand(s)')
            break
        }
        'patchwright;pcp;new' {
            [CompletionResult]::new('--also', '--also', [CompletionResultType]::ParameterName, 'Another new installer of the same patch, for a product of its own, and an old one of it. Repeatable')
            [CompletionResult]::new('-o', '-o', [CompletionResultType]::ParameterName, 'The file to write')
            [CompletionResult]::new('--output', '--output', [CompletionResultType]::ParameterName, 'The file to write')
            [CompletionResult]::new('--patch-guid', '--patch-guid', [CompletionResultType]::ParameterName, 'The identity of the patch [default: a random one]')
            [CompletionResult]::new('--metadata', '--metadata', [CompletionResultType]::ParameterName, 'A row of PatchMetadata, such as MoreInfoURL=https://example.org, where the installers do not say it or say it otherwise. Repeatable')
            [CompletionResult]::new('--color', '--color', [CompletionResultType]::ParameterName, 'Colour the output: auto, always or never; auto means on a terminal, unless NO_COLOR is set')
            [CompletionResult]::new('--json', '--json', [CompletionResultType]::ParameterName, 'Print one JSON object instead of text')
            [CompletionResult]::new('-q', '-q', [CompletionResultType]::ParameterName, 'Show no progress and no notes; warnings and errors stay')
            [CompletionResult]::new('--quiet', '--quiet', [CompletionResultType]::ParameterName, 'Show no progress and no notes; warnings and errors stay')
            [CompletionResult]::new('-h', '-h', [CompletionResultType]::ParameterName, 'Print help (see more with ''--help'')')
            [CompletionResult]::new('--help', '--help', [CompletionResultType]::ParameterName, 'Print help (see more with ''--help'')')
            break
        }
        'patchwright;pcp;export' {
            [CompletionResult]::new('-o', '-o', [CompletionResultType]::ParameterName, 'The folder, which is made if need be')
            [CompletionResult]::new('--output', '--output', [CompletionResultType]::ParameterName, 'The folder, which is made if need be')
            [CompletionResult]::new('--color', '--color', [CompletionResultType]::ParameterName, 'Colour the output: auto, always or never; auto means on a terminal, unless NO_COLOR is set')
            [CompletionResult]::new('--json', '--json', [CompletionResultType]::ParameterName, 'Print one JSON object instead of text')
            [CompletionResult]::new('-q', '-q', [CompletionResultType]::ParameterName, 'Show no progress and no notes; warnings and errors stay')
            [CompletionResult]::new('--quiet', '--quiet', [CompletionResultType]::ParameterName, 'Show no progress and no notes; warnings and errors stay')
            [CompletionResult]::new('-h', '-h', [CompletionResultType]::ParameterName, 'Print help (see more with ''--help'')')
            [CompletionResult]::new('--help', '--help', [CompletionResultType]::ParameterName, 'Print help (see more with ''--help'')')
            break
        }
        'patchwright;pcp;import' {
            [CompletionResult]::new('-o', '-o', [CompletionResultType]::ParameterName, 'The file to write')
            [CompletionResult]::new('--output', '--output', [CompletionResultType]::ParameterName, 'The file to write')
            [CompletionResult]::new('--color', '--color', [CompletionResultType]::ParameterName, 'Colour the output: auto, always or never; auto means on a terminal, unless NO_COLOR is set')
            [CompletionResult]::new('--json', '--json', [CompletionResultType]::ParameterName, 'Print one JSON object instead of text')
            [CompletionResult]::new('-q', '-q', [CompletionResultType]::ParameterName, 'Show no progress and no notes; warnings and errors stay')
            [CompletionResult]::new('--quiet', '--quiet', [CompletionResultType]::ParameterName, 'Show no progress and no notes; warnings and errors stay')
            [CompletionResult]::new('-h', '-h', [CompletionResultType]::ParameterName, 'Print help (see more with ''--help'')')
            [CompletionResult]::new('--help', '--help', [CompletionResultType]::ParameterName, 'Print help (see more with ''--help'')')
            break
        }
        'patchwright;pcp;check' {
            [CompletionResult]::new('--map', '--map', [CompletionResultType]::ParameterName, 'Where a folder of Windows is here; the longest prefix that fits a path counts. Repeatable')
            [CompletionResult]::new('--color', '--color', [CompletionResultType]::ParameterName, 'Colour the output: auto, always or never; auto means on a terminal, unless NO_COLOR is set')
            [CompletionResult]::new('--strict', '--strict', [CompletionResultType]::ParameterName, 'Take what PATCHWIZ refuses for an error, even where a patch can be made: images with files in cabinets')
            [CompletionResult]::new('--no-images', '--no-images', [CompletionResultType]::ParameterName, 'Check the tables alone, and open no image')
            [CompletionResult]::new('--json', '--json', [CompletionResultType]::ParameterName, 'Print one JSON object instead of text')
            [CompletionResult]::new('-q', '-q', [CompletionResultType]::ParameterName, 'Show no progress and no notes; warnings and errors stay')
            [CompletionResult]::new('--quiet', '--quiet', [CompletionResultType]::ParameterName, 'Show no progress and no notes; warnings and errors stay')
            [CompletionResult]::new('-h', '-h', [CompletionResultType]::ParameterName, 'Print help (see more with ''--help'')')
            [CompletionResult]::new('--help', '--help', [CompletionResultType]::ParameterName, 'Print help (see more with ''--help'')')
            break
        }
        'patchwright;pcp;help' {
            [CompletionResult]::new('new', 'new', [CompletionResultType]::ParameterValue, 'Write a starting PCP that leads from old installers to a new one')
            [CompletionResult]::new('export', 'export', [CompletionResultType]::ParameterValue, 'Write each table as a text archive (.idt) into a folder')
            [CompletionResult]::new('import', 'import', [CompletionResultType]::ParameterValue, 'Make a database of the text archives in a folder')
            [CompletionResult]::new('check', 'check', [CompletionResultType]::ParameterValue, 'List everything that is wrong with a PCP, with the codes of PATCHWIZ')
            [CompletionResult]::new('help', 'help', [CompletionResultType]::ParameterValue, 'Print this message or the help of the given subcommand(s)')
            break
        }
        'patchwright;pcp;help;new' {
            break
        }
        'patchwright;pcp;help;export' {
            break
        }
        'patchwright;pcp;help;import' {
            break
        }
        'patchwright;pcp;help;check' {
            break
        }
        'patchwright;pcp;help;help' {
            break
        }
        'patchwright;msp' {
            [CompletionResult]::new('--color', '--color', [CompletionResultType]::ParameterName, 'Colour the output: auto, always or never; auto means on a terminal, unless NO_COLOR is set')
            [CompletionResult]::new('--json', '--json', [CompletionResultType]::ParameterName, 'Print one JSON object instead of text')
            [CompletionResult]::new('-q', '-q', [CompletionResultType]::ParameterName, 'Show no progress and no notes; warnings and errors stay')
            [CompletionResult]::new('--quiet', '--quiet', [CompletionResultType]::ParameterName, 'Show no progress and no notes; warnings and errors stay')
            [CompletionResult]::new('-h', '-h', [CompletionResultType]::ParameterName, 'Print help (see more with ''--help'')')
            [CompletionResult]::new('--help', '--help', [CompletionResultType]::ParameterName, 'Print help (see more with ''--help'')')
            [CompletionResult]::new('build', 'build', [CompletionResultType]::ParameterValue, 'Build the patch that a PCP describes')
            [CompletionResult]::new('inspect', 'inspect', [CompletionResultType]::ParameterValue, 'Show what is in a patch: products, transforms, files, cabinets, and what the installer will not like')
            [CompletionResult]::new('help', 'help', [CompletionResultType]::ParameterValue, 'Print this message or the help of the given subcommand(s)')
            break
        }
        'patchwright;msp;build' {
            [CompletionResult]::new('-o', '-o', [CompletionResultType]::ParameterName, 'The patch to write [default: PatchOutputPath]')
            [CompletionResult]::new('--output', '--output', [CompletionResultType]::ParameterName, 'The patch to write [default: PatchOutputPath]')
            [CompletionResult]::new('--map', '--map', [CompletionResultType]::ParameterName, 'Where the Windows paths of the PCP lead here: C:\build=/srv/build; the longest prefix counts')
            [CompletionResult]::new('--retain-mismatch', '--retain-mismatch', [CompletionResultType]::ParameterName, 'What to do where an old file and its family differ in the number of retained ranges')
            [CompletionResult]::new('--retain-default', '--retain-default', [CompletionResultType]::ParameterName, 'Where an old file without offsets has its retained ranges')
            [CompletionResult]::new('--threads', '--threads', [CompletionResultType]::ParameterName, 'Threads to use; all cores without it')
            [CompletionResult]::new('--temp-folder', '--temp-folder', [CompletionResultType]::ParameterName, 'A folder for what lies between images and patch; kept if DontRemoveTempFolderWhenFinished is 1')
            [CompletionResult]::new('--patchfiles-sequence', '--patchfiles-sequence', [CompletionResultType]::ParameterName, 'Place of the action PatchFiles in the sequences [default: 4090, or after InstallFiles]')
            [CompletionResult]::new('--error-conditions', '--error-conditions', [CompletionResultType]::ParameterName, 'Which errors do not stop a transform: a sum of 1 to 0x3f')
            [CompletionResult]::new('--color', '--color', [CompletionResultType]::ParameterName, 'Colour the output: auto, always or never; auto means on a terminal, unless NO_COLOR is set')
            [CompletionResult]::new('--strict', '--strict', [CompletionResultType]::ParameterName, 'Refuse what PATCHWIZ refuses, such as images whose files are in cabinets')
            [CompletionResult]::new('--json', '--json', [CompletionResultType]::ParameterName, 'Print one JSON object instead of text')
            [CompletionResult]::new('-q', '-q', [CompletionResultType]::ParameterName, 'Show no progress and no notes; warnings and errors stay')
            [CompletionResult]::new('--quiet', '--quiet', [CompletionResultType]::ParameterName, 'Show no progress and no notes; warnings and errors stay')
            [CompletionResult]::new('-h', '-h', [CompletionResultType]::ParameterName, 'Print help (see more with ''--help'')')
            [CompletionResult]::new('--help', '--help', [CompletionResultType]::ParameterName, 'Print help (see more with ''--help'')')
            break
        }
        'patchwright;msp;inspect' {
            [CompletionResult]::new('--against', '--against', [CompletionResultType]::ParameterName, 'An installer: tell which transforms apply to its product, and why the others do not')
            [CompletionResult]::new('--color', '--color', [CompletionResultType]::ParameterName, 'Colour the output: auto, always or never; auto means on a terminal, unless NO_COLOR is set')
            [CompletionResult]::new('--json', '--json', [CompletionResultType]::ParameterName, 'Print one JSON object instead of text')
            [CompletionResult]::new('-q', '-q', [CompletionResultType]::ParameterName, 'Show no progress and no notes; warnings and errors stay')
            [CompletionResult]::new('--quiet', '--quiet', [CompletionResultType]::ParameterName, 'Show no progress and no notes; warnings and errors stay')
            [CompletionResult]::new('-h', '-h', [CompletionResultType]::ParameterName, 'Print help (see more with ''--help'')')
            [CompletionResult]::new('--help', '--help', [CompletionResultType]::ParameterName, 'Print help (see more with ''--help'')')
            break
        }
        'patchwright;msp;help' {
            [CompletionResult]::new('build', 'build', [CompletionResultType]::ParameterValue, 'Build the patch that a PCP describes')
            [CompletionResult]::new('inspect', 'inspect', [CompletionResultType]::ParameterValue, 'Show what is in a patch: products, transforms, files, cabinets, and what the installer will not like')
            [CompletionResult]::new('help', 'help', [CompletionResultType]::ParameterValue, 'Print this message or the help of the given subcommand(s)')
            break
        }
        'patchwright;msp;help;build' {
            break
        }
        'patchwright;msp;help;inspect' {
            break
        }
        'patchwright;msp;help;help' {
            break
        }
        'patchwright;msimsp' {
            [CompletionResult]::new('--map', '--map', [CompletionResultType]::ParameterName, 'Where the Windows paths of the PCP lead here; before the flags of Msimsp.exe')
            [CompletionResult]::new('--color', '--color', [CompletionResultType]::ParameterName, 'Colour the output: auto, always or never; auto means on a terminal, unless NO_COLOR is set')
            [CompletionResult]::new('--json', '--json', [CompletionResultType]::ParameterName, 'Print one JSON object instead of text')
            [CompletionResult]::new('-q', '-q', [CompletionResultType]::ParameterName, 'Show no progress and no notes; warnings and errors stay')
            [CompletionResult]::new('--quiet', '--quiet', [CompletionResultType]::ParameterName, 'Show no progress and no notes; warnings and errors stay')
            [CompletionResult]::new('-h', '-h', [CompletionResultType]::ParameterName, 'Print help (see more with ''--help'')')
            [CompletionResult]::new('--help', '--help', [CompletionResultType]::ParameterName, 'Print help (see more with ''--help'')')
            break
        }
        'patchwright;completions' {
            [CompletionResult]::new('--color', '--color', [CompletionResultType]::ParameterName, 'Colour the output: auto, always or never; auto means on a terminal, unless NO_COLOR is set')
            [CompletionResult]::new('--json', '--json', [CompletionResultType]::ParameterName, 'Print one JSON object instead of text')
            [CompletionResult]::new('-q', '-q', [CompletionResultType]::ParameterName, 'Show no progress and no notes; warnings and errors stay')
            [CompletionResult]::new('--quiet', '--quiet', [CompletionResultType]::ParameterName, 'Show no progress and no notes; warnings and errors stay')
            [CompletionResult]::new('-h', '-h', [CompletionResultType]::ParameterName, 'Print help (see more with ''--help'')')
            [CompletionResult]::new('--help', '--help', [CompletionResultType]::ParameterName, 'Print help (see more with ''--help'')')
            break
        }
        'patchwright;man' {
            [CompletionResult]::new('-o', '-o', [CompletionResultType]::ParameterName, 'Write one page for the program and one for each verb into this folder, which is made if need be')
            [CompletionResult]::new('--output', '--output', [CompletionResultType]::ParameterName, 'Write one page for the program and one for each verb into this folder, which is made if need be')
            [CompletionResult]::new('--color', '--color', [CompletionResultType]::ParameterName, 'Colour the output: auto, always or never; auto means on a terminal, unless NO_COLOR is set')
            [CompletionResult]::new('--json', '--json', [CompletionResultType]::ParameterName, 'Print one JSON object instead of text')
            [CompletionResult]::new('-q', '-q', [CompletionResultType]::ParameterName, 'Show no progress and no notes; warnings and errors stay')
            [CompletionResult]::new('--quiet', '--quiet', [CompletionResultType]::ParameterName, 'Show no progress and no notes; warnings and errors stay')
            [CompletionResult]::new('-h', '-h', [CompletionResultType]::ParameterName, 'Print help (see more with ''--help'')')
            [CompletionResult]::new('--help', '--help', [CompletionResultType]::ParameterName, 'Print help (see more with ''--help'')')
            break
        }
        'patchwright;help' {
            [CompletionResult]::new('diff', 'diff', [CompletionResultType]::ParameterValue, 'Make a patch that leads from each OLD version to the NEW one')
            [CompletionResult]::new('apply', 'apply', [CompletionResultType]::ParameterValue, 'Turn TARGET into the new version')
            [CompletionResult]::new('revert', 'revert', [CompletionResultType]::ParameterValue, 'Take a patch back: TARGET becomes what it was before')
            [CompletionResult]::new('status', 'status', [CompletionResultType]::ParameterValue, 'Show which patches TARGET has that can be taken back, and which patches processes have')
            [CompletionResult]::new('inspect', 'inspect', [CompletionResultType]::ParameterValue, 'Show what is in PATCH: versions, ranges, sizes, methods, and where the bytes went')
            [CompletionResult]::new('verify', 'verify', [CompletionResultType]::ParameterValue, 'Say whether PATCH is whole and, with TARGET, whether it would apply')
            [CompletionResult]::new('check', 'check', [CompletionResultType]::ParameterValue, 'Say which functions of IMAGE can be redirected while it runs')
            [CompletionResult]::new('cc', 'cc', [CompletionResultType]::ParameterValue, 'Compile and link with GCC, Clang or rustc so that every function can be redirected')
            [CompletionResult]::new('cl', 'cl', [CompletionResultType]::ParameterValue, 'Compile as cl does, with /hotpatch on every machine')
            [CompletionResult]::new('link', 'link', [CompletionResultType]::ParameterValue, 'Link as link does, and audit what /functionpadmin promised')
            [CompletionResult]::new('prepare', 'prepare', [CompletionResultType]::ParameterValue, 'Make objects hot-patchable that were compiled without it')
            [CompletionResult]::new('ld', 'ld', [CompletionResultType]::ParameterValue, 'Link with prepared copies of all objects and archives')
            [CompletionResult]::new('pcp', 'pcp', [CompletionResultType]::ParameterValue, 'Patch creation properties: what a Windows Installer patch is made of')
            [CompletionResult]::new('msp', 'msp', [CompletionResultType]::ParameterValue, 'Patches of Windows Installer (.msp)')
            [CompletionResult]::new('msimsp', 'msimsp', [CompletionResultType]::ParameterValue, 'Build a patch with the flags of Msimsp.exe')
            [CompletionResult]::new('completions', 'completions', [CompletionResultType]::ParameterValue, 'Print the completion script of a shell')
            [CompletionResult]::new('man', 'man', [CompletionResultType]::ParameterValue, 'Print the manual page, or write those of all verbs')
            [CompletionResult]::new('help', 'help', [CompletionResultType]::ParameterValue, 'Print this message or the help of the given subcommand(s)')
            break
        }
        'patchwright;help;diff' {
            break
        }
        'patchwright;help;apply' {
            break
        }
        'patchwright;help;revert' {
            break
        }
        'patchwright;help;status' {
            break
        }
        'patchwright;help;inspect' {
            break
        }
        'patchwright;help;verify' {
            break
        }
        'patchwright;help;check' {
            break
        }
        'patchwright;help;cc' {
            break
        }
        'patchwright;help;cl' {
            break
        }
        'patchwright;help;link' {
            break
        }
        'patchwright;help;prepare' {
            break
        }
        'patchwright;help;ld' {
            break
        }
        'patchwright;help;pcp' {
            [CompletionResult]::new('new', 'new', [CompletionResultType]::ParameterValue, 'Write a starting PCP that leads from old installers to a new one')
            [CompletionResult]::new('export', 'export', [CompletionResultType]::ParameterValue, 'Write each table as a text archive (.idt) into a folder')
            [CompletionResult]::new('import', 'import', [CompletionResultType]::ParameterValue, 'Make a database of the text archives in a folder')
            [CompletionResult]::new('check', 'check', [CompletionResultType]::ParameterValue, 'List everything that is wrong with a PCP, with the codes of PATCHWIZ')
            break
        }
        'patchwright;help;pcp;new' {
            break
        }
        'patchwright;help;pcp;export' {
            break
        }
        'patchwright;help;pcp;import' {
            break
        }
        'patchwright;help;pcp;check' {
            break
        }
        'patchwright;help;msp' {
            [CompletionResult]::new('build', 'build', [CompletionResultType]::ParameterValue, 'Build the patch that a PCP describes')
            [CompletionResult]::new('inspect', 'inspect', [CompletionResultType]::ParameterValue, 'Show what is in a patch: products, transforms, files, cabinets, and what the installer will not like')
            break
        }
        'patchwright;help;msp;build' {
            break
        }
        'patchwright;help;msp;inspect' {
            break
        }
        'patchwright;help;msimsp' {
            break
        }
        'patchwright;help;completions' {
            break
        }
        'patchwright;help;man' {
            break
        }
        'patchwright;help;help' {
            break
        }
    })

    $completions.Where{ $_.CompletionText -like "$wordToComplete*" } |
        Sort-Object -Property ListItemText
}
