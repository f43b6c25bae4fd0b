#compdef xtask
# Completion of `cargo xtask` and of `xtask` for zsh, printed by `cargo xtask completions zsh`.
# Everything else behind `cargo` keeps the completion that it has.

# The program that printed this answers. A key press compiles nothing and runs nothing of the folder
# that somebody happens to be in.
typeset -g _xtask_printed_by=@PROGRAM@

# $1: at which of `words` the name of the program is.
_xtask_reply() {
    local program=$_xtask_printed_by line value shown
    local -a typed whole open
    [[ -x $program ]] || program=${commands[xtask]:-}
    [[ -n $program ]] || return 1
    typed=(xtask "${(@Q)words[$1+1,CURRENT-1]}" "${(Q)PREFIX}")
    for line in "${(@f)$("$program" completions -- "${typed[@]}" 2>/dev/null)}"; do
        [[ -n $line ]] || continue
        value=${line%%$'\t'*}
        shown=${value//:/\\:}
        [[ $line == *$'\t'* ]] && shown+=:${line#*$'\t'}
        # What ends so is not complete yet.
        if [[ $value == *[/=] ]]; then open+=("$shown"); else whole+=("$shown"); fi
    done
    (( $#whole + $#open )) || return 1
    _describe -V xtask whole -- open -S ''
}

_xtask() {
    _xtask_reply 1
}

_xtask_cargo() {
    local at=2
    # Cargo's own options stand before the command.
    while (( at < CURRENT )); do
        case ${words[at]} in
            (--color|--config|-C|-Z) (( at += 2 )) ;;
            (-*|+*) (( at += 1 )) ;;
            (*) break ;;
        esac
    done
    if (( at < CURRENT )) && [[ ${words[at]} == xtask ]]; then
        _xtask_reply $at
    else
        ${_xtask_cargo_before:-_default} "$@"
    fi
}

if (( ${+functions[compdef]} )); then
    # The completion that cargo had.
    if [[ -n ${_comps[cargo]:-} && ${_comps[cargo]} != _xtask_cargo ]]; then
        typeset -g _xtask_cargo_before=${_comps[cargo]}
    fi
    compdef _xtask_cargo cargo
    compdef _xtask xtask
else
    print -u2 'xtask: read its completion after compinit'
fi
