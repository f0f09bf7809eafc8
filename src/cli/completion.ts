import { ConfigError } from '../config/load.ts';
import { COMMANDS, type CommandSpec, SHELLS } from './commands.ts';

/** `walhook completion SHELL`: prints the shell's own words for the commands and their options. */
export function completionCommand(args: readonly string[]): number {
  const [shell, ...more] = args;
  const write = WRITERS[shell as keyof typeof WRITERS] as (() => string) | undefined;
  if (write === undefined || more.length > 0) {
    throw new ConfigError([`completion takes the name of one shell: ${SHELLS.join(', ')}`]);
  }
  process.stdout.write(write());
  return 0;
}

const WRITERS: Readonly<Record<(typeof SHELLS)[number], () => string>> = { bash, zsh, fish };

/** What may follow a command's name; `takesValue`: something has to follow it in turn. */
function wordsOf({
  name,
  options,
  words,
}: CommandSpec): readonly { word: string; text: string; takesValue: boolean }[] {
  const shells = name === 'completion' ? SHELLS.map((word) => ({ word, text: '', takesValue: false })) : [];
  const commands =
    name === 'help' ? COMMANDS.map((other) => ({ word: other.name, text: other.text, takesValue: false })) : [];
  return [
    ...shells,
    ...commands,
    ...words.filter(({ word }) => word.startsWith('--')).map((word) => ({ ...word, takesValue: false })),
    ...Object.values(options).map(({ name: option, text }) => ({ word: `--${option}`, text, takesValue: true })),
    { word: '--help', text: 'Print the options.', takesValue: false },
  ];
}

/** Options whose value is a path. */
function isPath(word: string): boolean {
  return COMMANDS.some(({ options }) =>
    Object.values(options).some(({ name, placeholder }) => `--${name}` === word && placeholder === 'PATH'),
  );
}

function bash(): string {
  const paths = new Set(
    COMMANDS.flatMap(wordsOf)
      .map(({ word }) => word)
      .filter(isPath),
  );
  const valued = new Set(COMMANDS.flatMap(wordsOf).flatMap(({ word, takesValue }) => (takesValue ? [word] : [])));
  const cases = COMMANDS.map((command) => {
    const words = wordsOf(command).map(({ word }) => word);
    return `    ${command.name}) words='${words.join(' ')}' ;;`;
  });
  return `_walhook() {
  local current="\${COMP_WORDS[COMP_CWORD]}" previous="\${COMP_WORDS[COMP_CWORD-1]}" words=''
  if [ "$COMP_CWORD" -eq 1 ]; then
    COMPREPLY=($(compgen -W '${COMMANDS.map(({ name }) => name).join(' ')}' -- "$current"))
    return
  fi
  case "$previous" in
    ${[...paths].join('|')}) COMPREPLY=($(compgen -f -- "$current")); return ;;
    ${[...valued].filter((word) => !paths.has(word)).join('|')}) return ;;
  esac
  case "\${COMP_WORDS[1]}" in
${cases.join('\n')}
  esac
  COMPREPLY=($(compgen -W "$words" -- "$current"))
  if [ "\${COMP_WORDS[1]}" = apply ]; then COMPREPLY+=($(compgen -f -- "$current")); fi
}
complete -F _walhook walhook
`;
}

function zsh(): string {
  const commands = COMMANDS.map(({ name, text }) => `    ${single(`${name}:${text}`)}`);
  const cases = COMMANDS.map((command) => {
    const specs = wordsOf(command).map(({ word, text, takesValue }) => {
      if (!word.startsWith('--')) return null;
      const value = takesValue ? (isPath(word) ? ':path:_files' : ':value:') : '';
      return single(`${word}[${firstSentence(text).replace(/[[\]:\\]/g, '\\$&')}]${value}`);
    });
    const operands = wordsOf(command).filter(({ word }) => !word.startsWith('--'));
    const choice = operands.length === 0 ? [] : [single(`1:word:(${operands.map(({ word }) => word).join(' ')})`)];
    const files = command.name === 'apply' ? [single('1:file:_files')] : [];
    const all = [...specs.filter((spec) => spec !== null), ...choice, ...files];
    return `    ${command.name}) _arguments ${all.join(' ')} ;;`;
  });
  return `#compdef walhook
_walhook() {
  local -a commands=(
${commands.join('\n')}
  )
  if (( CURRENT == 2 )); then
    _describe command commands
    return
  fi
  local command="\${words[2]}"
  shift words
  (( CURRENT-- ))
  case "$command" in
${cases.join('\n')}
  esac
}
compdef _walhook walhook
`;
}

function fish(): string {
  const names = COMMANDS.map(({ name, text }) => {
    return `complete -c walhook -f -n __fish_use_subcommand -a ${name} -d ${single(text)}`;
  });
  const words = COMMANDS.flatMap((command) => {
    const when = single(`__fish_seen_subcommand_from ${command.name}`);
    return wordsOf(command).map(({ word, text, takesValue }) => {
      const what = word.startsWith('--') ? `-l ${word.slice(2)}` : `-a ${word}`;
      const value = takesValue ? (isPath(word) ? ' -r -F' : ' -x') : '';
      const description = text === '' ? '' : ` -d ${single(firstSentence(text))}`;
      return `complete -c walhook -n ${when} ${what}${value}${description}`;
    });
  });
  const files = `complete -c walhook -n '__fish_seen_subcommand_from apply' -F`;
  return `${[...names, ...words, files].join('\n')}\n`;
}

/** Between single quotes, for any of the shells: in fish a backslash is special there, too, but there is none. */
function single(text: string): string {
  return `'${text.replaceAll("'", '’')}'`;
}

function firstSentence(text: string): string {
  return /^.*?(?=[.;:] |$)/.exec(text)![0].replace(/\.$/, '');
}
