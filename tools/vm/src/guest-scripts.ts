import type { Kernel } from './kernel.ts'

/** What runs in the guest, as this machine would run it. */
export interface GuestCommand {
  readonly args: readonly string[]
  readonly cwd: string
  readonly env: Readonly<Record<string, string>>
}

/** Ports by which the guest speaks, each a socket here. */
export const PORTS = ['stdout', 'stderr', 'status'] as const

/** Nothing else loads its driver, as udev would. Source: include/uapi/linux/virtio_ids.h. */
const VIRTIO_NET = '0x0001'

/** Tag of the 9p share. */
export const ROOT_TAG = 'root'

/**
 * The first process, from the initramfs: puts a writable layer over this machine's root file system, then makes that the root. Process 1 shares its root with the
 * kernel's threads, so from then on the kernel loads modules by itself, with this machine's modprobe.
 */
export const FIRST_SCRIPT = `#!/bin/busybox sh
set -e
b=/bin/busybox
for fs in proc sysfs:sys devtmpfs:dev; do $b mount -t \${fs%:*} none /\${fs#*:}; done
while read module; do $b insmod /modules/$module; done < /modules/order
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
 * What process 1 does then: the rest of a usual system, the command, its exit code, and the end. Both streams go through pipes, as commands expect. What the command
 * left running is ended, or the pipes would stay open.
 */
export function secondScript({ args, cwd, env }: GuestCommand, kernel: Kernel): string {
  const variables = Object.entries(env).map(([name, value]) => `export ${name}=${quote(value)}`)
  return `#!/run/vm/busybox sh
b=/run/vm/busybox
${variables.join('\n')}
$b mkdir -p /dev/pts /dev/shm /usr/lib/modules/${kernel.release}
$b mount -t devpts none /dev/pts
for dir in /dev/shm /run/lock; do $b mkdir -p $dir; $b mount -t tmpfs none $dir; done
$b mount -t cgroup2 none /sys/fs/cgroup
$b mount -t bpf none /sys/fs/bpf
$b mount --bind ${quote(kernel.modulesDir)} /usr/lib/modules/${kernel.release}
for device in /sys/bus/virtio/devices/*; do
  [ "$(cat $device/device)" != ${VIRTIO_NET} ] || modprobe "$(cat $device/modalias)"
done
$b ip link set lo up
$b hostname vm
for port in /sys/class/virtio-ports/*; do
  read name < $port/name
  $b ln -s /dev/\${port##*/} /run/vm/$name.port
done
$b mkfifo /run/vm/stdout /run/vm/stderr
$b cat /run/vm/stdout > /run/vm/stdout.port & out=$!
$b cat /run/vm/stderr > /run/vm/stderr.port & err=$!
{ cd ${quote(cwd)} && $b setsid ${args.map(quote).join(' ')}; } < /dev/null > /run/vm/stdout 2> /run/vm/stderr
status=$?
for round in 1 2; do
  for process in /proc/[0-9]*; do
    case \${process#/proc/} in 1 | $out | $err) ;; *) kill -9 \${process#/proc/} 2> /dev/null ;; esac
  done
done
wait $out $err
echo $status > /run/vm/status.port
$b poweroff -f
`
}

function quote(text: string): string {
  return `'${text.replaceAll("'", `'\\''`)}'`
}
