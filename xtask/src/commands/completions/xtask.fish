# Completion of `cargo xtask` and of `xtask` for fish, printed by `cargo xtask completions fish`.
# Everything else behind `cargo` keeps the completion that it has.

# The program that printed this answers. A key press compiles nothing and runs nothing of the folder
# that somebody happens to be in.
set -g __xtask_printed_by @PROGRAM@

# The words from `xtask` to the cursor, if cargo is asked for it.
function __xtask_words
    set -l words (commandline -opc)
    set -e words[1]
    # Cargo's own options stand before the command.
    while set -q words[1]
        switch $words[1]
            case --color --config -C -Z
                set -e words[1]
                set -q words[1]; and set -e words[1]
            case '-*' '+*'
                set -e words[1]
            case xtask
                printf '%s\n' $words
                return 0
            case '*'
                return 1
        end
    end
    return 1
end

# $argv: the words from `xtask` to the cursor, without the last one.
function __xtask_answer
    set -l program $__xtask_printed_by
    test -x $program; or set program (command -s xtask); or return
    $program completions -- $argv (commandline -ct) 2>/dev/null
end

function __xtask_called
    __xtask_words >/dev/null
end

complete -c cargo -n __xtask_called -f -k -a '(__xtask_answer (__xtask_words))'
complete -c xtask -f -k -a '(__xtask_answer xtask (commandline -opc)[2..])'
