import type { GRPCAction, HTTPGetAction, Lifecycle, LifecycleHandler, Probe } from '../../generated/types/core/v1.ts'
import { describePattern } from '../../meta/names.ts'
import { forbiddenField, invalid, required, type FieldError, type FieldPath } from '../../status/field-error.ts'
import { checkNonNegative, checkOneOf, checkPort, checkRequired } from '../shared/check.ts'

/** What a probe or hook may do; a probe has `grpc`, a hook `sleep`. */
type Handler = Pick<Probe, 'exec' | 'httpGet' | 'tcpSocket' | 'grpc'> & Pick<LifecycleHandler, 'sleep'>

const HANDLERS = ['exec', 'httpGet', 'tcpSocket', 'grpc', 'sleep'] as const
const LINUX_SIGNALS = signalNames()
const WINDOWS_SIGNALS = ['SIGKILL', 'SIGTERM']

/** Probes of a container that keeps running. Source: validateProbe and its callers, pkg/apis/core/validation v1.37. */
export function validateProbes(
  container: { readonly [probe in 'livenessProbe' | 'readinessProbe' | 'startupProbe']?: Probe | undefined },
  path: FieldPath,
): FieldError[] {
  const { livenessProbe, readinessProbe, startupProbe } = container
  const readinessPath = path.child('readinessProbe')
  const errors = validateOnceProbe(livenessProbe, path.child('livenessProbe'))
  if (readinessProbe !== undefined) {
    errors.push(...validateProbe(readinessProbe, readinessPath))
    const seconds = readinessProbe.terminationGracePeriodSeconds
    if (seconds !== undefined) {
      errors.push(
        invalid(readinessPath.child('terminationGracePeriodSeconds'), seconds, 'must not be set for readinessProbes'),
      )
    }
  }
  return [...errors, ...validateOnceProbe(startupProbe, path.child('startupProbe'))]
}

export interface LifecycleContext {
  readonly graceSeconds: number | undefined
  readonly osName: string | undefined
}

/** Hooks and stop signal. Source: validateLifecycle. */
export function validateLifecycle(
  lifecycle: Lifecycle | undefined,
  path: FieldPath,
  context: LifecycleContext,
): FieldError[] {
  if (lifecycle === undefined) return []
  const { postStart, preStop, stopSignal } = lifecycle
  const errors: FieldError[] = []
  if (postStart !== undefined) errors.push(...validateHandler(postStart, path.child('postStart'), context.graceSeconds))
  if (preStop !== undefined) errors.push(...validateHandler(preStop, path.child('preStop'), context.graceSeconds))
  if (stopSignal === undefined) return errors
  const signalPath = path.child('stopSignal')
  if (context.osName === undefined) {
    return [...errors, forbiddenField(signalPath, 'may not be set for containers with empty `spec.os.name`')]
  }
  return [
    ...errors,
    ...checkOneOf(stopSignal, signalPath, context.osName === 'windows' ? WINDOWS_SIGNALS : LINUX_SIGNALS),
  ]
}

/** Liveness and startup probes: one success is enough. */
function validateOnceProbe(probe: Probe | undefined, path: FieldPath): FieldError[] {
  if (probe === undefined) return []
  const errors = validateProbe(probe, path)
  const { successThreshold } = probe
  if (successThreshold !== undefined && successThreshold !== 1) {
    errors.push(invalid(path.child('successThreshold'), successThreshold, 'must be 1'))
  }
  return errors
}

function validateProbe(probe: Probe, path: FieldPath): FieldError[] {
  const numbers = [
    'initialDelaySeconds',
    'timeoutSeconds',
    'periodSeconds',
    'successThreshold',
    'failureThreshold',
  ] as const
  const errors = [
    ...validateHandler(probe, path, undefined),
    ...numbers.flatMap((name) => checkNonNegative(probe[name], path.child(name))),
  ]
  const grace = probe.terminationGracePeriodSeconds
  if (grace !== undefined && grace <= 0) {
    errors.push(invalid(path.child('terminationGracePeriodSeconds'), grace, 'must be greater than 0'))
  }
  return errors
}

function validateHandler(handler: Handler, path: FieldPath, graceSeconds: number | undefined): FieldError[] {
  const [first, ...others] = HANDLERS.filter((name) => handler[name] !== undefined)
  if (first === undefined) return [required(path, 'must specify a handler type')]
  return [
    ...validateAction(handler, path.child(first), { name: first, graceSeconds }),
    ...others.map((name) => forbiddenField(path.child(name), 'may not specify more than 1 handler type')),
  ]
}

interface ActionContext {
  readonly name: (typeof HANDLERS)[number]
  readonly graceSeconds: number | undefined
}

function validateAction(handler: Handler, path: FieldPath, { name, graceSeconds }: ActionContext): FieldError[] {
  switch (name) {
    case 'exec':
      return (handler.exec?.command ?? []).length === 0 ? [required(path.child('command'))] : []
    case 'httpGet':
      return validateHTTPGet(handler.httpGet!, path)
    case 'tcpSocket':
      return checkPort(handler.tcpSocket?.port, path.child('port'))
    case 'grpc':
      return validateGRPC(handler.grpc!, path)
    case 'sleep':
      return validateSleep(handler.sleep?.seconds ?? 0, path, graceSeconds)
    default:
      throw new Error(`Cannot check the handler ${String(name satisfies never)}: it is none`)
  }
}

function validateSleep(seconds: number, path: FieldPath, graceSeconds: number | undefined): FieldError[] {
  if (graceSeconds === undefined || (seconds >= 0 && seconds <= graceSeconds)) return []
  const detail = `must be non-negative and less than terminationGracePeriodSeconds (${graceSeconds})`
  return [invalid(path, seconds, detail)]
}

function validateGRPC(action: GRPCAction, path: FieldPath): FieldError[] {
  return [
    ...checkPort(action.port, path.child('port')),
    ...checkOneOf(action.mode, path.child('mode'), ['Plaintext', 'TLS']),
  ]
}

function validateHTTPGet(action: HTTPGetAction, path: FieldPath): FieldError[] {
  const errors = [
    ...checkRequired(action.path, path.child('path')),
    ...checkPort(action.port, path.child('port')),
    ...checkOneOf(action.scheme ?? '', path.child('scheme'), ['HTTP', 'HTTPS']),
  ]
  for (const { name } of action.httpHeaders ?? []) {
    if (/^[-A-Za-z0-9]+$/.test(name)) continue
    const rule = "a valid HTTP header must consist of alphanumeric characters or '-'"
    errors.push(invalid(path.child('httpHeaders'), name, describePattern(rule, '[-A-Za-z0-9]+', ['X-Header-Name'])))
  }
  errors.push(...checkOneOf(action.protocol, path.child('protocol'), ['HTTP1', 'HTTP2']))
  return errors
}

/** Signals in the order in which upstream prints its set. */
function signalNames(): readonly string[] {
  const plain =
    'ABRT ALRM BUS CHLD CLD CONT FPE HUP ILL INT IO IOT KILL PIPE POLL PROF PWR QUIT RTMAX SEGV STKFLT STOP SYS TERM TRAP TSTP TTIN TTOU URG USR1 USR2 VTALRM WINCH XCPU XFSZ RTMIN'
  const upper = Array.from({ length: 14 }, (_, i) => `RTMAX-${i + 1}`)
  const lower = Array.from({ length: 15 }, (_, i) => `RTMIN+${i + 1}`)
  return [...plain.split(' '), ...upper, ...lower].map((name) => `SIG${name}`).toSorted()
}
