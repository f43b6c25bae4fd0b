# Completion of `cargo xtask` and of `xtask` for bash, printed by `cargo xtask completions bash`.
# Everything else behind `cargo` keeps the completion that it has.

# The program that printed this answers. A key press compiles nothing and runs nothing of the folder
# that somebody happens to be in.
_xtask_printed_by=@PROGRAM@

# $@: the words from `xtask` to the cursor.
_xtask_answer() {
    local program=$_xtask_printed_by
    [[ -x $program ]] || program=$(type -P xtask) || return 0
    "$program" completions -- "$@" 2>/dev/null
}

# Sets `words`: the words to the cursor as they were typed. Bash's own COMP_WORDS are cut at `=`.
_xtask_words() {
    local line=${COMP_LINE:0:COMP_POINT}
    read -r -a words <<<"$line"
    [[ $line == *[[:space:]] ]] && words+=("")
    return 0
}

# $@: the words from `xtask` to the cursor. Sets COMPREPLY.
_xtask_reply() {
    local current=${!#} kept='' breaks='' sign value _
    # Bash replaces only what is behind the last of these.
    for sign in '=' ':' '@'; do
        [[ $COMP_WORDBREAKS == *"$sign"* ]] && breaks+=$sign
    done
    [[ -n $breaks ]] && kept=${current%"${current##*[$breaks]}"}
    COMPREPLY=()
    while IFS=$'\t' read -r value _; do
        value=${value#"$kept"}
        [[ $value == *[!A-Za-z0-9_./:=@%+,~-]* ]] && printf -v value '%q' "$value"
        COMPREPLY+=("$value")
    done < <(_xtask_answer "$@")
    if [[ ${#COMPREPLY[@]} -eq 1 && ${COMPREPLY[0]} == *[/=] ]]; then
        compopt -o nospace 2>/dev/null
    fi
    return 0
}

_xtask() {
    local words=()
    _xtask_words
    _xtask_reply xtask "${words[@]:1}"
}

# The completion that cargo had.
_xtask_cargo_before=
_xtask_note_cargo() {
    local had
    had=$(complete -p cargo 2>/dev/null) || return 0
    [[ $had == *' -F '* ]] || return 0
    had=${had##* -F }
    had=${had%% *}
    [[ $had == _xtask_cargo ]] || _xtask_cargo_before=$had
}

_xtask_cargo() {
    local words=() at=1 last loader
    _xtask_words
    last=$((${#words[@]} - 1))
    # Cargo's own options stand before the command.
    while ((at < last)); do
        case ${words[at]} in
            --color | --config | -C | -Z) at=$((at + 2)) ;;
            -* | +*) at=$((at + 1)) ;;
            *) break ;;
        esac
    done
    if ((at < last)) && [[ ${words[at]} == xtask ]]; then
        _xtask_reply "${words[@]:at}"
        return
    fi
    if [[ -z $_xtask_cargo_before ]]; then
        # bash-completion finds cargo's at its first use, and puts it in the place of this one.
        for loader in _comp_load _completion_loader; do
            if declare -F "$loader" >/dev/null; then
                "$loader" cargo >/dev/null 2>&1
                _xtask_note_cargo
                complete -F _xtask_cargo cargo
                break
            fi
        done
    fi
    compopt -o bashdefault -o default 2>/dev/null
    [[ -z $_xtask_cargo_before ]] || "$_xtask_cargo_before" "$@"
}

_xtask_note_cargo
complete -F _xtask_cargo cargo
complete -F _xtask xtask
