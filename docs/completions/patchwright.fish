# Print an optspec for argparse to handle cmd's options that are independent of any subcommand.
function __fish_patchwright_global_optspecs
    string join \n json color= q/quiet h/help V/version
end

function __fish_patchwright_needs_command
    # Figure out if the current invocation already has a command.
    set -l cmd (commandline -opc)
    set -e cmd[1]
    argparse -s (__fish_patchwright_global_optspecs) -- $cmd 2>/dev/null
    or return
    if set -q argv[1]
        # Also print the command, so this can be used to figure out what it is.
        echo $argv[1]
        return 1
    end
    return 0
end

function __fish_patchwright_using_subcommand
    set -l cmd (__fish_patchwright_needs_command)
    test -z "$cmd"
    and return 1
    contains -- $cmd[1] $argv
end

complete -c patchwright -n "__fish_patchwright_needs_command" -l color -d 'Colour the output: auto, always or never; auto means on a terminal, unless NO_COLOR is set' -r -f -a "auto\t''
always\t''
never\t''"
complete -c patchwright -n "__fish_patchwright_needs_command" -l json -d 'Print one JSON object instead of text'
complete -c patchwright -n "__fish_patchwright_needs_command" -s q -l quiet -d 'Show no progress and no notes; warnings and errors stay'
complete -c patchwright -n "__fish_patchwright_needs_command" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c patchwright -n "__fish_patchwright_needs_command" -s V -l version -d 'Print version'
complete -c patchwright -n "__fish_patchwright_needs_command" -f -a "diff" -d 'Make a patch that leads from each OLD version to the NEW one'
complete -c patchwright -n "__fish_patchwright_needs_command" -f -a "apply" -d 'Turn TARGET into the new version'
complete -c patchwright -n "__fish_patchwright_needs_command" -f -a "revert" -d 'Take a patch back: TARGET becomes what it was before'
complete -c patchwright -n "__fish_patchwright_needs_command" -f -a "status" -d 'Show which patches TARGET has that can be taken back, and which patches processes have'
complete -c patchwright -n "__fish_patchwright_needs_command" -f -a "inspect" -d 'Show what is in PATCH: versions, ranges, sizes, methods, and where the bytes went'
complete -c patchwright -n "__fish_patchwright_needs_command" -f -a "verify" -d 'Say whether PATCH is whole and, with TARGET, whether it would apply'
complete -c patchwright -n "__fish_patchwright_needs_command" -f -a "check" -d 'Say which functions of IMAGE can be redirected while it runs'
complete -c patchwright -n "__fish_patchwright_needs_command" -f -a "cc" -d 'Compile and link with GCC, Clang or rustc so that every function can be redirected'
complete -c patchwright -n "__fish_patchwright_needs_command" -f -a "cl" -d 'Compile as cl does, with /hotpatch on every machine'
complete -c patchwright -n "__fish_patchwright_needs_command" -f -a "link" -d 'Link as link does, and audit what /functionpadmin promised'
complete -c patchwright -n "__fish_patchwright_needs_command" -f -a "prepare" -d 'Make objects hot-patchable that were compiled without it'
complete -c patchwright -n "__fish_patchwright_needs_command" -f -a "ld" -d 'Link with prepared copies of all objects and archives'
complete -c patchwright -n "__fish_patchwright_needs_command" -f -a "pcp" -d 'Patch creation properties: what a Windows Installer patch is made of'
complete -c patchwright -n "__fish_patchwright_needs_command" -f -a "msp" -d 'Patches of Windows Installer (.msp)'
complete -c patchwright -n "__fish_patchwright_needs_command" -f -a "msimsp" -d 'Build a patch with the flags of Msimsp.exe'
complete -c patchwright -n "__fish_patchwright_needs_command" -f -a "completions" -d 'Print the completion script of a shell'
complete -c patchwright -n "__fish_patchwright_needs_command" -f -a "man" -d 'Print the manual page, or write those of all verbs'
complete -c patchwright -n "__fish_patchwright_needs_command" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c patchwright -n "__fish_patchwright_using_subcommand diff" -s o -l output -d 'Where to write the patch' -r -F
complete -c patchwright -n "__fish_patchwright_using_subcommand diff" -l ignore -d 'Ranges of the old file whose content does not matter' -r
complete -c patchwright -n "__fish_patchwright_using_subcommand diff" -l retain -d 'Ranges that keep what they hold in the file being patched' -r
complete -c patchwright -n "__fish_patchwright_using_subcommand diff" -l regions -d 'A file that lists ignored and retained ranges by path; the way to give those of folders' -r -F
complete -c patchwright -n "__fish_patchwright_using_subcommand diff" -l profile -d 'What the patch is made for [default: small, or raw with --format pa19]' -r -f -a "small\t'The smallest patch (pwp)'
fast\t'A patch that is quick to apply (pwp)'
quick\t'A patch that is quick to make (pwp)'
raw\t'32-bit images are patched like any file; every applier takes the patch (pa19)'
native\t'32-bit images are normalised and transformed as the genuine creator does (pa19)'"
complete -c patchwright -n "__fish_patchwright_using_subcommand diff" -l max-memory -d 'Most memory that matching may use, such as 2GiB or 512MiB; a smaller limit may make a larger patch' -r
complete -c patchwright -n "__fish_patchwright_using_subcommand diff" -l threads -d 'Threads to use; all cores without it' -r
complete -c patchwright -n "__fish_patchwright_using_subcommand diff" -l format -d 'The format of the patch' -r -f -a "pwp\t'Our own container'
pa19\t'Microsoft\'s, which Windows Installer applies; single files below 4 GiB'"
complete -c patchwright -n "__fish_patchwright_using_subcommand diff" -l old-objects -d 'The objects that OLD was linked from, in a folder and the folders in it; archives too' -r -F
complete -c patchwright -n "__fish_patchwright_using_subcommand diff" -l new-objects -d 'The objects that NEW was linked from, likewise' -r -F
complete -c patchwright -n "__fish_patchwright_using_subcommand diff" -l lzx -d 'Whether the compressor translates relative calls [default: best]' -r -f -a "a\t'Relative calls stay as they are'
b\t'Relative calls of executable images are translated'
best\t'Whatever is smaller'"
complete -c patchwright -n "__fish_patchwright_using_subcommand diff" -l color -d 'Colour the output: auto, always or never; auto means on a terminal, unless NO_COLOR is set' -r -f -a "auto\t''
always\t''
never\t''"
complete -c patchwright -n "__fish_patchwright_using_subcommand diff" -l hot -d 'Make a part for running processes too, so that `apply --running` and `apply --pid` work'
complete -c patchwright -n "__fish_patchwright_using_subcommand diff" -l fast -d 'Search less for matches: much faster, and larger'
complete -c patchwright -n "__fish_patchwright_using_subcommand diff" -l large-window -d 'Allow windows of 32 MiB instead of 8, for files larger than that'
complete -c patchwright -n "__fish_patchwright_using_subcommand diff" -l fail-if-same -d 'Fail when the old file is the new one already'
complete -c patchwright -n "__fish_patchwright_using_subcommand diff" -l fail-if-bigger -d 'Fail when the patch is no smaller than the new file compressed'
complete -c patchwright -n "__fish_patchwright_using_subcommand diff" -l no-timestamp -d 'Leave the new file\'s time of change out of the patch'
complete -c patchwright -n "__fish_patchwright_using_subcommand diff" -l json -d 'Print one JSON object instead of text'
complete -c patchwright -n "__fish_patchwright_using_subcommand diff" -s q -l quiet -d 'Show no progress and no notes; warnings and errors stay'
complete -c patchwright -n "__fish_patchwright_using_subcommand diff" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c patchwright -n "__fish_patchwright_using_subcommand apply" -s o -l output -d 'Write the result here and leave TARGET alone' -r -F
complete -c patchwright -n "__fish_patchwright_using_subcommand apply" -l pid -d 'Also this process; may be given several times' -r
complete -c patchwright -n "__fish_patchwright_using_subcommand apply" -l pause -d 'Longest time that a process may stand still at once, in milliseconds' -r
complete -c patchwright -n "__fish_patchwright_using_subcommand apply" -l deadline -d 'Longest time to try for each process, in seconds' -r
complete -c patchwright -n "__fish_patchwright_using_subcommand apply" -l color -d 'Colour the output: auto, always or never; auto means on a terminal, unless NO_COLOR is set' -r -f -a "auto\t''
always\t''
never\t''"
complete -c patchwright -n "__fish_patchwright_using_subcommand apply" -l dry-run -d 'Do everything but the change'
complete -c patchwright -n "__fish_patchwright_using_subcommand apply" -l no-undo -d 'Keep nothing for `revert`: the patch cannot be taken back'
complete -c patchwright -n "__fish_patchwright_using_subcommand apply" -l break-hard-links -d 'Replace TARGET although it has other names (hard links), which stay at the old version'
complete -c patchwright -n "__fish_patchwright_using_subcommand apply" -l running -d 'Also every process that runs an old version which the patch knows, wherever its file is'
complete -c patchwright -n "__fish_patchwright_using_subcommand apply" -l cold-only -d 'The file alone, no process'
complete -c patchwright -n "__fish_patchwright_using_subcommand apply" -l hot-only -d 'The processes alone; the file stays as it is'
complete -c patchwright -n "__fish_patchwright_using_subcommand apply" -l accept-suspended -d 'Do not look for suspended stacks (coroutines, swapcontext); one in a changed function goes on in the old code'
complete -c patchwright -n "__fish_patchwright_using_subcommand apply" -l json -d 'Print one JSON object instead of text'
complete -c patchwright -n "__fish_patchwright_using_subcommand apply" -s q -l quiet -d 'Show no progress and no notes; warnings and errors stay'
complete -c patchwright -n "__fish_patchwright_using_subcommand apply" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c patchwright -n "__fish_patchwright_using_subcommand revert" -l pid -d 'Also this process; may be given several times' -r
complete -c patchwright -n "__fish_patchwright_using_subcommand revert" -l pause -d 'Longest time that a process may stand still at once, in milliseconds' -r
complete -c patchwright -n "__fish_patchwright_using_subcommand revert" -l deadline -d 'Longest time to try for each process, in seconds' -r
complete -c patchwright -n "__fish_patchwright_using_subcommand revert" -l color -d 'Colour the output: auto, always or never; auto means on a terminal, unless NO_COLOR is set' -r -f -a "auto\t''
always\t''
never\t''"
complete -c patchwright -n "__fish_patchwright_using_subcommand revert" -l dry-run -d 'Do everything but the change'
complete -c patchwright -n "__fish_patchwright_using_subcommand revert" -l break-hard-links -d 'Replace TARGET although it has other names (hard links), which stay as they are'
complete -c patchwright -n "__fish_patchwright_using_subcommand revert" -l running -d 'Also every process that runs an old version which the patch knows, wherever its file is'
complete -c patchwright -n "__fish_patchwright_using_subcommand revert" -l cold-only -d 'The file alone, no process'
complete -c patchwright -n "__fish_patchwright_using_subcommand revert" -l hot-only -d 'The processes alone; the file stays as it is'
complete -c patchwright -n "__fish_patchwright_using_subcommand revert" -l accept-suspended -d 'Do not look for suspended stacks (coroutines, swapcontext); one in a changed function goes on in the old code'
complete -c patchwright -n "__fish_patchwright_using_subcommand revert" -l json -d 'Print one JSON object instead of text'
complete -c patchwright -n "__fish_patchwright_using_subcommand revert" -s q -l quiet -d 'Show no progress and no notes; warnings and errors stay'
complete -c patchwright -n "__fish_patchwright_using_subcommand revert" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c patchwright -n "__fish_patchwright_using_subcommand status" -l pid -d 'A process in question; may be given several times. It is not stopped' -r
complete -c patchwright -n "__fish_patchwright_using_subcommand status" -l color -d 'Colour the output: auto, always or never; auto means on a terminal, unless NO_COLOR is set' -r -f -a "auto\t''
always\t''
never\t''"
complete -c patchwright -n "__fish_patchwright_using_subcommand status" -l json -d 'Print one JSON object instead of text'
complete -c patchwright -n "__fish_patchwright_using_subcommand status" -s q -l quiet -d 'Show no progress and no notes; warnings and errors stay'
complete -c patchwright -n "__fish_patchwright_using_subcommand status" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c patchwright -n "__fish_patchwright_using_subcommand inspect" -l extract-header -d 'Write the header of a PA19 patch here, as a patch without streams' -r -F
complete -c patchwright -n "__fish_patchwright_using_subcommand inspect" -l ignore -d 'Ranges that read as zero in the signature' -r
complete -c patchwright -n "__fish_patchwright_using_subcommand inspect" -l color -d 'Colour the output: auto, always or never; auto means on a terminal, unless NO_COLOR is set' -r -f -a "auto\t''
always\t''
never\t''"
complete -c patchwright -n "__fish_patchwright_using_subcommand inspect" -l signature -d 'Take PATCH for any file and print the signature that the Windows patch API gives it'
complete -c patchwright -n "__fish_patchwright_using_subcommand inspect" -l md5 -d 'MD5 instead of CRC-32'
complete -c patchwright -n "__fish_patchwright_using_subcommand inspect" -l json -d 'Print one JSON object instead of text'
complete -c patchwright -n "__fish_patchwright_using_subcommand inspect" -s q -l quiet -d 'Show no progress and no notes; warnings and errors stay'
complete -c patchwright -n "__fish_patchwright_using_subcommand inspect" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c patchwright -n "__fish_patchwright_using_subcommand verify" -l color -d 'Colour the output: auto, always or never; auto means on a terminal, unless NO_COLOR is set' -r -f -a "auto\t''
always\t''
never\t''"
complete -c patchwright -n "__fish_patchwright_using_subcommand verify" -l json -d 'Print one JSON object instead of text'
complete -c patchwright -n "__fish_patchwright_using_subcommand verify" -s q -l quiet -d 'Show no progress and no notes; warnings and errors stay'
complete -c patchwright -n "__fish_patchwright_using_subcommand verify" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c patchwright -n "__fish_patchwright_using_subcommand check" -l require -d 'Which functions must be hot-patchable [default: own]' -r -f -a "own\t'All functions but those of the toolchain\'s start files and precompiled runtime'
all\t'Those of the toolchain too'
exported\t'Functions that other images see; of an object, other objects'
list\t'The functions that --list names'"
complete -c patchwright -n "__fish_patchwright_using_subcommand check" -l list -d 'Names for --require list: one per line, # begins a comment' -r -F
complete -c patchwright -n "__fish_patchwright_using_subcommand check" -l min-pad -d 'Bytes of pad before each entry [default: 5 on x86, 6 on x86-64, 8 on ARM, 0 on ARM64]' -r
complete -c patchwright -n "__fish_patchwright_using_subcommand check" -l allow -d 'Names of functions that may fail: one per line, # begins a comment' -r -F
complete -c patchwright -n "__fish_patchwright_using_subcommand check" -l pdb -d 'The program database of a PE image [default: the one beside IMAGE that belongs to it]' -r -F
complete -c patchwright -n "__fish_patchwright_using_subcommand check" -l function -d 'Ask for this function alone, and show its bytes' -r
complete -c patchwright -n "__fish_patchwright_using_subcommand check" -l color -d 'Colour the output: auto, always or never; auto means on a terminal, unless NO_COLOR is set' -r -f -a "auto\t''
always\t''
never\t''"
complete -c patchwright -n "__fish_patchwright_using_subcommand check" -l sarif -d 'Print what fails as SARIF 2.1.0, for build servers'
complete -c patchwright -n "__fish_patchwright_using_subcommand check" -l json -d 'Print one JSON object instead of text'
complete -c patchwright -n "__fish_patchwright_using_subcommand check" -s q -l quiet -d 'Show no progress and no notes; warnings and errors stay'
complete -c patchwright -n "__fish_patchwright_using_subcommand check" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c patchwright -n "__fish_patchwright_using_subcommand cc" -l pad -d 'Bytes of pad before each entry [default: 5 on x86, 6 on x86-64, 16 on ARM64]' -r
complete -c patchwright -n "__fish_patchwright_using_subcommand cc" -l audit -d 'Audit what is linked: off, warn or error [default: warn]' -r -f -a "off\t'Nobody looks'
warn\t'Functions that are not hot-patchable are named on standard error'
error\t'The same, the image is removed, and the exit code is 1'"
complete -c patchwright -n "__fish_patchwright_using_subcommand cc" -l report -d 'Write what was done as JSON; of a folder into a file named like the image' -r -F
complete -c patchwright -n "__fish_patchwright_using_subcommand cc" -l color -d 'Colour the output: auto, always or never; auto means on a terminal, unless NO_COLOR is set' -r -f -a "auto\t''
always\t''
never\t''"
complete -c patchwright -n "__fish_patchwright_using_subcommand cc" -l no-emit-relocs -d 'Leave no relocations in ELF images'
complete -c patchwright -n "__fish_patchwright_using_subcommand cc" -l prepare -d 'Prepare objects and static libraries that others made, at the link'
complete -c patchwright -n "__fish_patchwright_using_subcommand cc" -s v -l verbose -d 'Tell what is good to know, not only what breaks the promise'
complete -c patchwright -n "__fish_patchwright_using_subcommand cc" -l dry-run -d 'Print what would be run, and run nothing'
complete -c patchwright -n "__fish_patchwright_using_subcommand cc" -l json -d 'Print one JSON object instead of text'
complete -c patchwright -n "__fish_patchwright_using_subcommand cc" -s q -l quiet -d 'Show no progress and no notes; warnings and errors stay'
complete -c patchwright -n "__fish_patchwright_using_subcommand cc" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c patchwright -n "__fish_patchwright_using_subcommand cl" -l tool -d 'The compiler to run [default: PATCHWRIGHT_CL, else cl or clang-cl on PATH]' -r -F
complete -c patchwright -n "__fish_patchwright_using_subcommand cl" -l audit -d 'Audit what is linked: off, warn or error [default: warn]' -r -f -a "off\t'Nobody looks'
warn\t'Functions that are not hot-patchable are named on standard error'
error\t'The same, the image is removed, and the exit code is 1'"
complete -c patchwright -n "__fish_patchwright_using_subcommand cl" -l report -d 'Write what was done as JSON; of a folder into a file named like the image' -r -F
complete -c patchwright -n "__fish_patchwright_using_subcommand cl" -l color -d 'Colour the output: auto, always or never; auto means on a terminal, unless NO_COLOR is set' -r -f -a "auto\t''
always\t''
never\t''"
complete -c patchwright -n "__fish_patchwright_using_subcommand cl" -s v -l verbose -d 'Tell what is good to know, not only what breaks the promise'
complete -c patchwright -n "__fish_patchwright_using_subcommand cl" -l dry-run -d 'Print what would be run, and run nothing'
complete -c patchwright -n "__fish_patchwright_using_subcommand cl" -l json -d 'Print one JSON object instead of text'
complete -c patchwright -n "__fish_patchwright_using_subcommand cl" -s q -l quiet -d 'Show no progress and no notes; warnings and errors stay'
complete -c patchwright -n "__fish_patchwright_using_subcommand cl" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c patchwright -n "__fish_patchwright_using_subcommand link" -l tool -d 'The linker to run [default: PATCHWRIGHT_LINK, else link or lld-link on PATH]' -r -F
complete -c patchwright -n "__fish_patchwright_using_subcommand link" -l audit -d 'Audit what is linked: off, warn or error [default: warn]' -r -f -a "off\t'Nobody looks'
warn\t'Functions that are not hot-patchable are named on standard error'
error\t'The same, the image is removed, and the exit code is 1'"
complete -c patchwright -n "__fish_patchwright_using_subcommand link" -l report -d 'Write what was done as JSON; of a folder into a file named like the image' -r -F
complete -c patchwright -n "__fish_patchwright_using_subcommand link" -l color -d 'Colour the output: auto, always or never; auto means on a terminal, unless NO_COLOR is set' -r -f -a "auto\t''
always\t''
never\t''"
complete -c patchwright -n "__fish_patchwright_using_subcommand link" -s v -l verbose -d 'Tell what is good to know, not only what breaks the promise'
complete -c patchwright -n "__fish_patchwright_using_subcommand link" -l dry-run -d 'Print what would be run, and run nothing'
complete -c patchwright -n "__fish_patchwright_using_subcommand link" -l json -d 'Print one JSON object instead of text'
complete -c patchwright -n "__fish_patchwright_using_subcommand link" -s q -l quiet -d 'Show no progress and no notes; warnings and errors stay'
complete -c patchwright -n "__fish_patchwright_using_subcommand link" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c patchwright -n "__fish_patchwright_using_subcommand prepare" -s o -l output -d 'The folder for the copies; it is made if it is not there' -r -F
complete -c patchwright -n "__fish_patchwright_using_subcommand prepare" -l min-pad -d 'Bytes of pad before each entry [default: 5 on x86, 6 on x86-64, 16 on ARM64]' -r
complete -c patchwright -n "__fish_patchwright_using_subcommand prepare" -l color -d 'Colour the output: auto, always or never; auto means on a terminal, unless NO_COLOR is set' -r -f -a "auto\t''
always\t''
never\t''"
complete -c patchwright -n "__fish_patchwright_using_subcommand prepare" -l json -d 'Print one JSON object instead of text'
complete -c patchwright -n "__fish_patchwright_using_subcommand prepare" -s q -l quiet -d 'Show no progress and no notes; warnings and errors stay'
complete -c patchwright -n "__fish_patchwright_using_subcommand prepare" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c patchwright -n "__fish_patchwright_using_subcommand ld" -l color -d 'Colour the output: auto, always or never; auto means on a terminal, unless NO_COLOR is set' -r -f -a "auto\t''
always\t''
never\t''"
complete -c patchwright -n "__fish_patchwright_using_subcommand ld" -l json -d 'Print one JSON object instead of text'
complete -c patchwright -n "__fish_patchwright_using_subcommand ld" -s q -l quiet -d 'Show no progress and no notes; warnings and errors stay'
complete -c patchwright -n "__fish_patchwright_using_subcommand ld" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c patchwright -n "__fish_patchwright_using_subcommand pcp; and not __fish_seen_subcommand_from new export import check help" -l color -d 'Colour the output: auto, always or never; auto means on a terminal, unless NO_COLOR is set' -r -f -a "auto\t''
always\t''
never\t''"
complete -c patchwright -n "__fish_patchwright_using_subcommand pcp; and not __fish_seen_subcommand_from new export import check help" -l json -d 'Print one JSON object instead of text'
complete -c patchwright -n "__fish_patchwright_using_subcommand pcp; and not __fish_seen_subcommand_from new export import check help" -s q -l quiet -d 'Show no progress and no notes; warnings and errors stay'
complete -c patchwright -n "__fish_patchwright_using_subcommand pcp; and not __fish_seen_subcommand_from new export import check help" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c patchwright -n "__fish_patchwright_using_subcommand pcp; and not __fish_seen_subcommand_from new export import check help" -f -a "new" -d 'Write a starting PCP that leads from old installers to a new one'
complete -c patchwright -n "__fish_patchwright_using_subcommand pcp; and not __fish_seen_subcommand_from new export import check help" -f -a "export" -d 'Write each table as a text archive (.idt) into a folder'
complete -c patchwright -n "__fish_patchwright_using_subcommand pcp; and not __fish_seen_subcommand_from new export import check help" -f -a "import" -d 'Make a database of the text archives in a folder'
complete -c patchwright -n "__fish_patchwright_using_subcommand pcp; and not __fish_seen_subcommand_from new export import check help" -f -a "check" -d 'List everything that is wrong with a PCP, with the codes of PATCHWIZ'
complete -c patchwright -n "__fish_patchwright_using_subcommand pcp; and not __fish_seen_subcommand_from new export import check help" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c patchwright -n "__fish_patchwright_using_subcommand pcp; and __fish_seen_subcommand_from new" -l also -d 'Another new installer of the same patch, for a product of its own, and an old one of it. Repeatable' -r -F
complete -c patchwright -n "__fish_patchwright_using_subcommand pcp; and __fish_seen_subcommand_from new" -s o -l output -d 'The file to write' -r -F
complete -c patchwright -n "__fish_patchwright_using_subcommand pcp; and __fish_seen_subcommand_from new" -l patch-guid -d 'The identity of the patch [default: a random one]' -r
complete -c patchwright -n "__fish_patchwright_using_subcommand pcp; and __fish_seen_subcommand_from new" -l metadata -d 'A row of PatchMetadata, such as MoreInfoURL=https://example.org, where the installers do not say it or say it otherwise. Repeatable' -r
complete -c patchwright -n "__fish_patchwright_using_subcommand pcp; and __fish_seen_subcommand_from new" -l color -d 'Colour the output: auto, always or never; auto means on a terminal, unless NO_COLOR is set' -r -f -a "auto\t''
always\t''
never\t''"
complete -c patchwright -n "__fish_patchwright_using_subcommand pcp; and __fish_seen_subcommand_from new" -l json -d 'Print one JSON object instead of text'
complete -c patchwright -n "__fish_patchwright_using_subcommand pcp; and __fish_seen_subcommand_from new" -s q -l quiet -d 'Show no progress and no notes; warnings and errors stay'
complete -c patchwright -n "__fish_patchwright_using_subcommand pcp; and __fish_seen_subcommand_from new" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c patchwright -n "__fish_patchwright_using_subcommand pcp; and __fish_seen_subcommand_from export" -s o -l output -d 'The folder, which is made if need be' -r -F
complete -c patchwright -n "__fish_patchwright_using_subcommand pcp; and __fish_seen_subcommand_from export" -l color -d 'Colour the output: auto, always or never; auto means on a terminal, unless NO_COLOR is set' -r -f -a "auto\t''
always\t''
never\t''"
complete -c patchwright -n "__fish_patchwright_using_subcommand pcp; and __fish_seen_subcommand_from export" -l json -d 'Print one JSON object instead of text'
complete -c patchwright -n "__fish_patchwright_using_subcommand pcp; and __fish_seen_subcommand_from export" -s q -l quiet -d 'Show no progress and no notes; warnings and errors stay'
complete -c patchwright -n "__fish_patchwright_using_subcommand pcp; and __fish_seen_subcommand_from export" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c patchwright -n "__fish_patchwright_using_subcommand pcp; and __fish_seen_subcommand_from import" -s o -l output -d 'The file to write' -r -F
complete -c patchwright -n "__fish_patchwright_using_subcommand pcp; and __fish_seen_subcommand_from import" -l color -d 'Colour the output: auto, always or never; auto means on a terminal, unless NO_COLOR is set' -r -f -a "auto\t''
always\t''
never\t''"
complete -c patchwright -n "__fish_patchwright_using_subcommand pcp; and __fish_seen_subcommand_from import" -l json -d 'Print one JSON object instead of text'
complete -c patchwright -n "__fish_patchwright_using_subcommand pcp; and __fish_seen_subcommand_from import" -s q -l quiet -d 'Show no progress and no notes; warnings and errors stay'
complete -c patchwright -n "__fish_patchwright_using_subcommand pcp; and __fish_seen_subcommand_from import" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c patchwright -n "__fish_patchwright_using_subcommand pcp; and __fish_seen_subcommand_from check" -l map -d 'Where a folder of Windows is here; the longest prefix that fits a path counts. Repeatable' -r
complete -c patchwright -n "__fish_patchwright_using_subcommand pcp; and __fish_seen_subcommand_from check" -l color -d 'Colour the output: auto, always or never; auto means on a terminal, unless NO_COLOR is set' -r -f -a "auto\t''
always\t''
never\t''"
complete -c patchwright -n "__fish_patchwright_using_subcommand pcp; and __fish_seen_subcommand_from check" -l strict -d 'Take what PATCHWIZ refuses for an error, even where a patch can be made: images with files in cabinets'
complete -c patchwright -n "__fish_patchwright_using_subcommand pcp; and __fish_seen_subcommand_from check" -l no-images -d 'Check the tables alone, and open no image'
complete -c patchwright -n "__fish_patchwright_using_subcommand pcp; and __fish_seen_subcommand_from check" -l json -d 'Print one JSON object instead of text'
complete -c patchwright -n "__fish_patchwright_using_subcommand pcp; and __fish_seen_subcommand_from check" -s q -l quiet -d 'Show no progress and no notes; warnings and errors stay'
complete -c patchwright -n "__fish_patchwright_using_subcommand pcp; and __fish_seen_subcommand_from check" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c patchwright -n "__fish_patchwright_using_subcommand pcp; and __fish_seen_subcommand_from help" -f -a "new" -d 'Write a starting PCP that leads from old installers to a new one'
complete -c patchwright -n "__fish_patchwright_using_subcommand pcp; and __fish_seen_subcommand_from help" -f -a "export" -d 'Write each table as a text archive (.idt) into a folder'
complete -c patchwright -n "__fish_patchwright_using_subcommand pcp; and __fish_seen_subcommand_from help" -f -a "import" -d 'Make a database of the text archives in a folder'
complete -c patchwright -n "__fish_patchwright_using_subcommand pcp; and __fish_seen_subcommand_from help" -f -a "check" -d 'List everything that is wrong with a PCP, with the codes of PATCHWIZ'
complete -c patchwright -n "__fish_patchwright_using_subcommand pcp; and __fish_seen_subcommand_from help" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c patchwright -n "__fish_patchwright_using_subcommand msp; and not __fish_seen_subcommand_from build inspect help" -l color -d 'Colour the output: auto, always or never; auto means on a terminal, unless NO_COLOR is set' -r -f -a "auto\t''
always\t''
never\t''"
complete -c patchwright -n "__fish_patchwright_using_subcommand msp; and not __fish_seen_subcommand_from build inspect help" -l json -d 'Print one JSON object instead of text'
complete -c patchwright -n "__fish_patchwright_using_subcommand msp; and not __fish_seen_subcommand_from build inspect help" -s q -l quiet -d 'Show no progress and no notes; warnings and errors stay'
complete -c patchwright -n "__fish_patchwright_using_subcommand msp; and not __fish_seen_subcommand_from build inspect help" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c patchwright -n "__fish_patchwright_using_subcommand msp; and not __fish_seen_subcommand_from build inspect help" -f -a "build" -d 'Build the patch that a PCP describes'
complete -c patchwright -n "__fish_patchwright_using_subcommand msp; and not __fish_seen_subcommand_from build inspect help" -f -a "inspect" -d 'Show what is in a patch: products, transforms, files, cabinets, and what the installer will not like'
complete -c patchwright -n "__fish_patchwright_using_subcommand msp; and not __fish_seen_subcommand_from build inspect help" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c patchwright -n "__fish_patchwright_using_subcommand msp; and __fish_seen_subcommand_from build" -s o -l output -d 'The patch to write [default: PatchOutputPath]' -r -F
complete -c patchwright -n "__fish_patchwright_using_subcommand msp; and __fish_seen_subcommand_from build" -l map -d 'Where the Windows paths of the PCP lead here: C:\\build=/srv/build; the longest prefix counts' -r
complete -c patchwright -n "__fish_patchwright_using_subcommand msp; and __fish_seen_subcommand_from build" -l retain-mismatch -d 'What to do where an old file and its family differ in the number of retained ranges' -r -f -a "error\t'Refuse'
drop\t'Retain nothing of the file, and warn: what PATCHWIZ does'"
complete -c patchwright -n "__fish_patchwright_using_subcommand msp; and __fish_seen_subcommand_from build" -l retain-default -d 'Where an old file without offsets has its retained ranges' -r -f -a "none\t'Nothing: it is a mismatch'
same-offset\t'They are where the new file has them'"
complete -c patchwright -n "__fish_patchwright_using_subcommand msp; and __fish_seen_subcommand_from build" -l threads -d 'Threads to use; all cores without it' -r
complete -c patchwright -n "__fish_patchwright_using_subcommand msp; and __fish_seen_subcommand_from build" -l temp-folder -d 'A folder for what lies between images and patch; kept if DontRemoveTempFolderWhenFinished is 1' -r -F
complete -c patchwright -n "__fish_patchwright_using_subcommand msp; and __fish_seen_subcommand_from build" -l patchfiles-sequence -d 'Place of the action PatchFiles in the sequences [default: 4090, or after InstallFiles]' -r
complete -c patchwright -n "__fish_patchwright_using_subcommand msp; and __fish_seen_subcommand_from build" -l error-conditions -d 'Which errors do not stop a transform: a sum of 1 to 0x3f' -r
complete -c patchwright -n "__fish_patchwright_using_subcommand msp; and __fish_seen_subcommand_from build" -l color -d 'Colour the output: auto, always or never; auto means on a terminal, unless NO_COLOR is set' -r -f -a "auto\t''
always\t''
never\t''"
complete -c patchwright -n "__fish_patchwright_using_subcommand msp; and __fish_seen_subcommand_from build" -l strict -d 'Refuse what PATCHWIZ refuses, such as images whose files are in cabinets'
complete -c patchwright -n "__fish_patchwright_using_subcommand msp; and __fish_seen_subcommand_from build" -l json -d 'Print one JSON object instead of text'
complete -c patchwright -n "__fish_patchwright_using_subcommand msp; and __fish_seen_subcommand_from build" -s q -l quiet -d 'Show no progress and no notes; warnings and errors stay'
complete -c patchwright -n "__fish_patchwright_using_subcommand msp; and __fish_seen_subcommand_from build" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c patchwright -n "__fish_patchwright_using_subcommand msp; and __fish_seen_subcommand_from inspect" -l against -d 'An installer: tell which transforms apply to its product, and why the others do not' -r -F
complete -c patchwright -n "__fish_patchwright_using_subcommand msp; and __fish_seen_subcommand_from inspect" -l color -d 'Colour the output: auto, always or never; auto means on a terminal, unless NO_COLOR is set' -r -f -a "auto\t''
always\t''
never\t''"
complete -c patchwright -n "__fish_patchwright_using_subcommand msp; and __fish_seen_subcommand_from inspect" -l json -d 'Print one JSON object instead of text'
complete -c patchwright -n "__fish_patchwright_using_subcommand msp; and __fish_seen_subcommand_from inspect" -s q -l quiet -d 'Show no progress and no notes; warnings and errors stay'
complete -c patchwright -n "__fish_patchwright_using_subcommand msp; and __fish_seen_subcommand_from inspect" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c patchwright -n "__fish_patchwright_using_subcommand msp; and __fish_seen_subcommand_from help" -f -a "build" -d 'Build the patch that a PCP describes'
complete -c patchwright -n "__fish_patchwright_using_subcommand msp; and __fish_seen_subcommand_from help" -f -a "inspect" -d 'Show what is in a patch: products, transforms, files, cabinets, and what the installer will not like'
complete -c patchwright -n "__fish_patchwright_using_subcommand msp; and __fish_seen_subcommand_from help" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c patchwright -n "__fish_patchwright_using_subcommand msimsp" -l map -d 'Where the Windows paths of the PCP lead here; before the flags of Msimsp.exe' -r
complete -c patchwright -n "__fish_patchwright_using_subcommand msimsp" -l color -d 'Colour the output: auto, always or never; auto means on a terminal, unless NO_COLOR is set' -r -f -a "auto\t''
always\t''
never\t''"
complete -c patchwright -n "__fish_patchwright_using_subcommand msimsp" -l json -d 'Print one JSON object instead of text'
complete -c patchwright -n "__fish_patchwright_using_subcommand msimsp" -s q -l quiet -d 'Show no progress and no notes; warnings and errors stay'
complete -c patchwright -n "__fish_patchwright_using_subcommand msimsp" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c patchwright -n "__fish_patchwright_using_subcommand completions" -l color -d 'Colour the output: auto, always or never; auto means on a terminal, unless NO_COLOR is set' -r -f -a "auto\t''
always\t''
never\t''"
complete -c patchwright -n "__fish_patchwright_using_subcommand completions" -l json -d 'Print one JSON object instead of text'
complete -c patchwright -n "__fish_patchwright_using_subcommand completions" -s q -l quiet -d 'Show no progress and no notes; warnings and errors stay'
complete -c patchwright -n "__fish_patchwright_using_subcommand completions" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c patchwright -n "__fish_patchwright_using_subcommand man" -s o -l output -d 'Write one page for the program and one for each verb into this folder, which is made if need be' -r -F
complete -c patchwright -n "__fish_patchwright_using_subcommand man" -l color -d 'Colour the output: auto, always or never; auto means on a terminal, unless NO_COLOR is set' -r -f -a "auto\t''
always\t''
never\t''"
complete -c patchwright -n "__fish_patchwright_using_subcommand man" -l json -d 'Print one JSON object instead of text'
complete -c patchwright -n "__fish_patchwright_using_subcommand man" -s q -l quiet -d 'Show no progress and no notes; warnings and errors stay'
complete -c patchwright -n "__fish_patchwright_using_subcommand man" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c patchwright -n "__fish_patchwright_using_subcommand help; and not __fish_seen_subcommand_from diff apply revert status inspect verify check cc cl link prepare ld pcp msp msimsp completions man help" -f -a "diff" -d 'Make a patch that leads from each OLD version to the NEW one'
complete -c patchwright -n "__fish_patchwright_using_subcommand help; and not __fish_seen_subcommand_from diff apply revert status inspect verify check cc cl link prepare ld pcp msp msimsp completions man help" -f -a "apply" -d 'Turn TARGET into the new version'
complete -c patchwright -n "__fish_patchwright_using_subcommand help; and not __fish_seen_subcommand_from diff apply revert status inspect verify check cc cl link prepare ld pcp msp msimsp completions man help" -f -a "revert" -d 'Take a patch back: TARGET becomes what it was before'
complete -c patchwright -n "__fish_patchwright_using_subcommand help; and not __fish_seen_subcommand_from diff apply revert status inspect verify check cc cl link prepare ld pcp msp msimsp completions man help" -f -a "status" -d 'Show which patches TARGET has that can be taken back, and which patches processes have'
complete -c patchwright -n "__fish_patchwright_using_subcommand help; and not __fish_seen_subcommand_from diff apply revert status inspect verify check cc cl link prepare ld pcp msp msimsp completions man help" -f -a "inspect" -d 'Show what is in PATCH: versions, ranges, sizes, methods, and where the bytes went'
complete -c patchwright -n "__fish_patchwright_using_subcommand help; and not __fish_seen_subcommand_from diff apply revert status inspect verify check cc cl link prepare ld pcp msp msimsp completions man help" -f -a "verify" -d 'Say whether PATCH is whole and, with TARGET, whether it would apply'
complete -c patchwright -n "__fish_patchwright_using_subcommand help; and not __fish_seen_subcommand_from diff apply revert status inspect verify check cc cl link prepare ld pcp msp msimsp completions man help" -f -a "check" -d 'Say which functions of IMAGE can be redirected while it runs'
complete -c patchwright -n "__fish_patchwright_using_subcommand help; and not __fish_seen_subcommand_from diff apply revert status inspect verify check cc cl link prepare ld pcp msp msimsp completions man help" -f -a "cc" -d 'Compile and link with GCC, Clang or rustc so that every function can be redirected'
complete -c patchwright -n "__fish_patchwright_using_subcommand help; and not __fish_seen_subcommand_from diff apply revert status inspect verify check cc cl link prepare ld pcp msp msimsp completions man help" -f -a "cl" -d 'Compile as cl does, with /hotpatch on every machine'
complete -c patchwright -n "__fish_patchwright_using_subcommand help; and not __fish_seen_subcommand_from diff apply revert status inspect verify check cc cl link prepare ld pcp msp msimsp completions man help" -f -a "link" -d 'Link as link does, and audit what /functionpadmin promised'
complete -c patchwright -n "__fish_patchwright_using_subcommand help; and not __fish_seen_subcommand_from diff apply revert status inspect verify check cc cl link prepare ld pcp msp msimsp completions man help" -f -a "prepare" -d 'Make objects hot-patchable that were compiled without it'
complete -c patchwright -n "__fish_patchwright_using_subcommand help; and not __fish_seen_subcommand_from diff apply revert status inspect verify check cc cl link prepare ld pcp msp msimsp completions man help" -f -a "ld" -d 'Link with prepared copies of all objects and archives'
complete -c patchwright -n "__fish_patchwright_using_subcommand help; and not __fish_seen_subcommand_from diff apply revert status inspect verify check cc cl link prepare ld pcp msp msimsp completions man help" -f -a "pcp" -d 'Patch creation properties: what a Windows Installer patch is made of'
complete -c patchwright -n "__fish_patchwright_using_subcommand help; and not __fish_seen_subcommand_from diff apply revert status inspect verify check cc cl link prepare ld pcp msp msimsp completions man help" -f -a "msp" -d 'Patches of Windows Installer (.msp)'
complete -c patchwright -n "__fish_patchwright_using_subcommand help; and not __fish_seen_subcommand_from diff apply revert status inspect verify check cc cl link prepare ld pcp msp msimsp completions man help" -f -a "msimsp" -d 'Build a patch with the flags of Msimsp.exe'
complete -c patchwright -n "__fish_patchwright_using_subcommand help; and not __fish_seen_subcommand_from diff apply revert status inspect verify check cc cl link prepare ld pcp msp msimsp completions man help" -f -a "completions" -d 'Print the completion script of a shell'
complete -c patchwright -n "__fish_patchwright_using_subcommand help; and not __fish_seen_subcommand_from diff apply revert status inspect verify check cc cl link prepare ld pcp msp msimsp completions man help" -f -a "man" -d 'Print the manual page, or write those of all verbs'
complete -c patchwright -n "__fish_patchwright_using_subcommand help; and not __fish_seen_subcommand_from diff apply revert status inspect verify check cc cl link prepare ld pcp msp msimsp completions man help" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c patchwright -n "__fish_patchwright_using_subcommand help; and __fish_seen_subcommand_from pcp" -f -a "new" -d 'Write a starting PCP that leads from old installers to a new one'
complete -c patchwright -n "__fish_patchwright_using_subcommand help; and __fish_seen_subcommand_from pcp" -f -a "export" -d 'Write each table as a text archive (.idt) into a folder'
complete -c patchwright -n "__fish_patchwright_using_subcommand help; and __fish_seen_subcommand_from pcp" -f -a "import" -d 'Make a database of the text archives in a folder'
complete -c patchwright -n "__fish_patchwright_using_subcommand help; and __fish_seen_subcommand_from pcp" -f -a "check" -d 'List everything that is wrong with a PCP, with the codes of PATCHWIZ'
complete -c patchwright -n "__fish_patchwright_using_subcommand help; and __fish_seen_subcommand_from msp" -f -a "build" -d 'Build the patch that a PCP describes'
complete -c patchwright -n "__fish_patchwright_using_subcommand help; and __fish_seen_subcommand_from msp" -f -a "inspect" -d 'Show what is in a patch: products, transforms, files, cabinets, and what the installer will not like'
