import { StatusError } from '@centaurus/api'
import { NotConnectedError } from '@centaurus/client/http'
import { UserError } from './user-error.ts'

/** What a command that failed says: one line for people, and for who looks for the fault a stack. */
export interface FailureOptions {
  /** Whether stacks are wanted: `CENTAURUS_DEBUG` in the environment, as daemons have it for their logs. */
  readonly debug: boolean
}

const NOT_ALLOWED = 'this user may not. Run it as one who may, such as with sudo'
/** By the system's code for what went wrong with a file. */
const ADVICE: ReadonlyMap<string, string> = new Map([
  ['EACCES', NOT_ALLOWED],
  ['EPERM', NOT_ALLOWED],
  ['EROFS', 'it is on a disk that can’t be written to. Name another place, such as by CENTAURUS_HOME'],
  ['ENOENT', 'there is no such file or folder. Name one that is there'],
  ['ENOTDIR', 'a file is where a folder must be. Name another place'],
  ['EISDIR', 'it is a folder and must be a file. Name another one'],
  ['ENOSPC', 'the disk is full. Make room, then run this again'],
])
const MESSAGES_MAX = 3

/** In words for the terminal, with what to do next. A stack is in it only for `debug`. Pure. */
export function describeFailure(error: unknown, { debug }: FailureOptions): string {
  const text = explain(error)
  const fault = error instanceof UserError ? error.cause : error
  return debug && fault instanceof Error ? `${fault.stack ?? ''}\ncentaurus: ${text}` : text
}

function explain(error: unknown): string {
  if (error instanceof UserError) return error.message
  if (error instanceof NotConnectedError)
    return `Cannot reach the API server (${innermost(error).message}): is it up? ./centaurus status tells`
  if (error instanceof StatusError) return explainStatus(error)
  if (isNamed(error, 'TimeoutError'))
    return 'The API server does not answer in time: is it well? ./centaurus status tells'
  const { code, path } = error as NodeJS.ErrnoException
  if (typeof code === 'string' && path !== undefined)
    return `Cannot use ${path}: ${ADVICE.get(code) ?? `the system says ${code}`}`
  return `${messagesOf(error)}. If that is no help, it is a fault of Centaurus: run it again with CENTAURUS_DEBUG=1 and report what it prints`
}

function explainStatus({ code, message }: StatusError): string {
  if (code === 401)
    return 'The API server does not know these credentials: is another cluster at its port? ./centaurus status tells'
  return `The API server says: ${withoutStop(message)}`
}

function messagesOf(error: unknown): string {
  const messages: string[] = []
  for (let each = error; each instanceof Error && messages.length < MESSAGES_MAX; each = each.cause)
    if (each.message !== '') messages.push(withoutStop(each.message))
  return messages.length === 0 ? String(error) : messages.join(': ')
}

function innermost(error: Error): Error {
  let each = error
  for (let left = MESSAGES_MAX; left > 0 && each.cause instanceof Error; left--) each = each.cause
  return each
}

function withoutStop(text: string): string {
  return text.replace(/\.$/, '')
}

function isNamed(error: unknown, name: string): boolean {
  return error instanceof Error && error.name === name
}
