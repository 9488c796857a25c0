/**
 * What runs inside a guest: two shell scripts, and the words in which they talk with this machine.
 *
 * Ports, each a socket here: `control` takes lines, `status` says lines, `stdout` and `stderr` carry what commands write. First the guest says `ready` and waits: here a
 * snapshot is taken, before anything of this machine is mounted. A line with the time lets it go on (`up`). Then each line is a job: its number, seconds that it may
 * take, and a script in base64; when it is done and its output is written, both streams say {@link endOf} and `status` says number and exit code.
 */

/** Ports by which the guest and this machine speak. */
export const PORTS = ['control', 'status', 'stdout', 'stderr'] as const
export type PortName = (typeof PORTS)[number]

/** Tag of the 9p share. */
export const ROOT_TAG = 'root'

/** What a job is, as this machine would run it. */
export interface GuestCommand {
  readonly args: readonly string[]
  readonly cwd: string
  readonly env: Readonly<Record<string, string>>
}

/** Ends the output of a job in both streams. No program writes it by chance. */
export function endOf(job: number): string {
  return `\0end of job ${job}\0`
}

/** The line for `control` that starts a job. */
export function jobLine(job: number, command: GuestCommand, timeoutSeconds: number): string {
  return `${job} ${timeoutSeconds} ${Buffer.from(jobScript(command)).toString('base64')}\n`
}

function jobScript({ args, cwd, env }: GuestCommand): string {
  const variables = Object.entries(env).map(([name, value]) => `export ${name}=${quote(value)}\n`)
  return `${variables.join('')}cd ${quote(cwd)} && exec ${args.map(quote).join(' ')}\n`
}

/** The line for `control` that makes the machine end itself. */
export const POWER_OFF = 'off\n'

/**
 * The first process, from the initramfs. It loads the modules, says that it is ready, and waits for the time of day. Then it puts a writable layer over this machine's
 * root file system and makes that the root. Process 1 shares its root with the kernel's threads, so from then on the kernel loads modules by itself, with this
 * machine's modprobe.
 */
export const FIRST_SCRIPT = `#!/bin/busybox sh
set -e
b=/bin/busybox
for fs in proc sysfs:sys devtmpfs:dev; do $b mount -t \${fs%:*} none /\${fs#*:}; done
while read module; do $b insmod /modules/$module; done < /modules/order
for port in /sys/class/virtio-ports/*; do
  read name < $port/name
  $b ln -s /dev/\${port##*/} /ports/$name
done
exec 3< /ports/control 4> /ports/stdout 5> /ports/stderr 6> /ports/status
echo ready >&6
read now <&3
$b date -s @$now > /dev/null
$b mount -t 9p -o trans=virtio,version=9p2000.L,msize=512000,cache=loose,ro ${ROOT_TAG} /lower
$b mount -t tmpfs -o size=80% none /upper
$b mkdir /upper/files /upper/work
$b mount -t overlay -o lowerdir=/lower,upperdir=/upper/files,workdir=/upper/work none /root
for dir in proc sys dev; do $b mount --move /$dir /root/$dir; done
$b mount -t tmpfs none /root/run
$b mkdir /root/run/vm
$b cp /bin/busybox /second /root/run/vm/
exec $b switch_root /root /run/vm/second
`

/**
 * What process 1 does then: the rest of a usual system, and jobs, one after another. Both streams go through pipes, as commands expect. What a job left running is
 * ended with it, or the pipes would stay open; its files, devices and mounts stay.
 */
export function secondScript(kernel: { readonly release: string; readonly modulesDir: string }): string {
  return `#!/run/vm/busybox sh
b=/run/vm/busybox
$b mkdir -p /dev/pts /dev/shm /usr/lib/modules/${kernel.release}
$b mount -t devpts none /dev/pts
for dir in /dev/shm /run/lock; do $b mkdir -p $dir; $b mount -t tmpfs none $dir; done
$b mount -t cgroup2 none /sys/fs/cgroup
$b mount -t bpf none /sys/fs/bpf
$b mount --bind ${quote(kernel.modulesDir)} /usr/lib/modules/${kernel.release}
$b ip link set lo up
$b hostname vm
$b mkfifo /run/vm/stdout /run/vm/stderr
echo up >&6
while read -r job seconds script <&3; do
  [ "$job" != off ] || $b poweroff -f
  echo "$script" | $b base64 -d > /run/vm/job
  $b cat /run/vm/stdout >&4 & out=$!
  $b cat /run/vm/stderr >&5 & err=$!
  $b setsid $b timeout -s KILL $seconds /bin/sh /run/vm/job \\
    < /dev/null > /run/vm/stdout 2> /run/vm/stderr 3<&- 4>&- 5>&- 6>&-
  status=$?
  for round in 1 2; do
    for process in /proc/[0-9]*; do
      case \${process#/proc/} in 1 | $out | $err) ;; *) kill -9 \${process#/proc/} 2> /dev/null ;; esac
    done
  done
  wait $out $err
  for port in 4 5; do $b printf '\\000end of job %s\\000' $job >&$port; done
  echo "$job $status" >&6
done
$b poweroff -f
`
}

function quote(text: string): string {
  return `'${text.replaceAll("'", `'\\''`)}'`
}
