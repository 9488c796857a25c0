import { spawn, type ChildProcess } from 'node:child_process'
import { readFileSync, renameSync, writeFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'

export interface DevicePluginSettings {
  readonly resource: string
  /** Name of its socket. */
  readonly socket: string
  readonly devices: readonly TestDevice[]
  readonly isPreStartRequired?: boolean
  /** Whether it prefers the devices whose ids come last. */
  readonly prefersLast?: boolean
  /** What `Allocate` fails with; default: it does not. */
  readonly allocateError?: string | undefined
  /** Whether `Allocate` is never answered; default: it is. */
  readonly hangs?: boolean
  /** Folder of the host that containers see as `/things`. */
  readonly mount?: string
  /** Of the API that it says it speaks. */
  readonly version?: string
}

export interface TestDevice {
  readonly id: string
  /** Default: yes. */
  readonly healthy?: boolean
  readonly numaNodes?: readonly number[]
  /** Device node of the host that containers see as `/dev/thing-ID`. */
  readonly hostPath?: string
}

/** What it was asked, or how its registration went. */
export interface DevicePluginCall {
  readonly method: 'registered' | 'refused' | 'GetPreferredAllocation' | 'Allocate' | 'PreStartContainer'
  readonly ids: readonly string[]
  readonly podUid?: string | undefined
  readonly container?: string | undefined
  readonly why?: string
}

/** A process that is a device plugin. */
export interface TestDevicePlugin {
  readonly process: ChildProcess
  /** Other devices, or other answers, from now on. */
  change(settings: Partial<DevicePluginSettings>): void
  calls(): readonly DevicePluginCall[]
  /** As a crash: its socket stays. */
  kill(): Promise<void>
}

const MAIN = fileURLToPath(new URL('device-plugin-main.ts', import.meta.url))

/** Starts a plugin that serves in `dir`, where a kubelet's socket is or will be. `file` keeps its settings. */
export function startDevicePlugin(
  settings: DevicePluginSettings,
  { dir, file, prefix = [] }: { readonly dir: string; readonly file: string; readonly prefix?: readonly string[] },
): TestDevicePlugin {
  let current = settings
  const write = (): void => {
    writeFileSync(`${file}.new`, JSON.stringify(current))
    renameSync(`${file}.new`, file)
  }
  write()
  writeFileSync(`${file}.calls`, '')
  const [command = process.execPath, ...args] = [...prefix, process.execPath, MAIN, file, dir]
  const child = spawn(command, args, { stdio: ['ignore', 'inherit', 'inherit'] })
  return {
    process: child,
    change(changed) {
      current = { ...current, ...changed }
      write()
    },
    calls: () =>
      readFileSync(`${file}.calls`, 'utf8')
        .split('\n')
        .filter((line) => line !== '')
        .map((line) => JSON.parse(line) as DevicePluginCall),
    kill: () =>
      new Promise((resolve) => {
        if (child.exitCode !== null || child.signalCode !== null) return resolve()
        child.once('exit', () => resolve())
        child.kill('SIGKILL')
      }),
  }
}
