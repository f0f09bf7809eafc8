import { applyCommand } from './cli/apply.ts';
import { CatalogClientError } from './cli/declarations/catalog-client.ts';
import { dumpCommand } from './cli/dump.ts';
import { completionCommand } from './cli/completion.ts';
import { checkCommand, doctorCommand } from './cli/check.ts';
import { commandHelp, generalHelp } from './cli/help.ts';
import { listenCommand } from './cli/listen.ts';
import { rotateSecretKeyCommand } from './cli/rotate-secret-key.ts';
import { serveCommand } from './cli/serve.ts';
import { startCommand } from './cli/start.ts';
import { version } from './cli/version.ts';
import { waitCommand } from './cli/wait.ts';
import { DataDirectoryInUseError } from './catalog/data-directory.ts';
import { SecretKeyError } from './catalog/secret-key.ts';
import { ConfigError } from './config/load.ts';
import { UpstreamUrlError } from './postgres/connection-url.ts';

/** Exit codes: 0 done, 1 failed, 2 the command line or the configuration is wrong (`apply` has its own). */
async function main(args: readonly string[]): Promise<number> {
  const [command = 'help', ...rest] = args;
  if (rest.includes('--help')) return help([command]);
  switch (command) {
    case 'serve':
      return serveCommand(rest);
    case 'start':
      return startCommand(rest);
    case 'dump':
      return dumpCommand(rest);
    case 'apply':
      return applyCommand(rest);
    case 'wait':
      return waitCommand(rest);
    case 'listen':
      return listenCommand(rest);
    case 'check':
      return checkCommand(rest);
    case 'doctor':
      return doctorCommand(rest);
    case 'rotate-secret-key':
      return rotateSecretKeyCommand(rest);
    case 'completion':
      return completionCommand(rest);
    case 'version':
    case '--version':
      process.stdout.write(`walhook ${version()}\n`);
      return 0;
    case 'help':
    case '--help':
      return help(rest);
    default:
      process.stderr.write(`walhook: there is no command "${command}"\n\n${generalHelp()}\n`);
      return 2;
  }
}

function help([command]: readonly (string | undefined)[]): number {
  process.stdout.write(`${(command === undefined ? null : commandHelp(command)) ?? generalHelp()}\n`);
  return 0;
}

/** What an operator can mend is said in one line; anything else ends with its stack, as a bug should. */
function report(error: unknown): number {
  if (error instanceof ConfigError) {
    process.stderr.write(
      `walhook: the configuration is wrong\n${error.problems.map((line) => `  ${line}\n`).join('')}`,
    );
    return 2;
  }
  if (error instanceof UpstreamUrlError) {
    return report(new ConfigError(error.problems.map((problem) => `--upstream: ${problem}`)));
  }
  const code = (error as { code?: unknown }).code;
  if (
    error instanceof SecretKeyError ||
    error instanceof DataDirectoryInUseError ||
    error instanceof CatalogClientError ||
    code === 'EADDRINUSE' ||
    code === 'EACCES'
  ) {
    process.stderr.write(`walhook: ${(error as Error).message}\n`);
    return 1;
  }
  process.stderr.write(`walhook: ${error instanceof Error ? (error.stack ?? error.message) : String(error)}\n`);
  return 1;
}

process.exitCode = await main(process.argv.slice(2)).catch(report);
