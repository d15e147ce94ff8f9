# SPDX-License-Identifier: GPL-2.0
# zsh -f complete.zsh "twctl att": prints what an interactive zsh makes of that line and a tab.
zmodload zsh/zpty
zpty z zsh -f -i
zpty -w z 'PS1=; unsetopt zle_bracketed_paste 2>/dev/null; autoload -Uz compinit; compinit -u -D; zstyle ":completion:*" list-colors; setopt auto_list; unsetopt list_beep auto_menu; LISTMAX=1000; echo re""ady'
zpty -r -m z line '*ready*'
zpty -n -w z "$1"$'\t\t'
sleep 2
while zpty -r -t z line; do print -rn -- "$line"; done
print
zpty -d z
