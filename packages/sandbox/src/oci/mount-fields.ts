import { addMount, tree, type Field } from './field.ts'

/** Commands that print a mount's options, but for what only the host's file system has. */
function shown(path: string): string {
  return `grep " ${path} " /proc/mounts | cut -d" " -f4 | tr , '\\n' | grep -vE "^(rw|inode64|discard|errors=.*|stripe=.*|res.*)$" | sort | tr '\\n' ' '; echo;`
}

/** What becomes of `mounts`. */
export const MOUNT_FIELDS: readonly Field[] = [
  {
    name: 'mounts: bind',
    prepare: tree('data/file'),
    change: addMount('/new/place', 'bind', 'HOST/data', 'rbind', 'rw'),
    script: `cat /new/place/file; touch /new/place/x; echo $?; ${shown('/new/place')}`,
  },
  {
    name: 'mounts: bind, read-only',
    prepare: tree('data/file'),
    change: addMount('/place', 'bind', 'HOST/data', 'rbind', 'ro', 'nosuid', 'nodev', 'noexec'),
    script: `cat /place/file; touch /place/x; cp /bin/busybox /place/y; grep " /place " /proc/mounts | grep -oE "\\b(ro|nosuid|nodev|noexec)\\b" | sort`,
  },
  {
    name: 'mounts: bind, noexec',
    prepare: tree('data/file'),
    change: addMount('/place', 'bind', 'HOST/data', 'rbind', 'noexec'),
    script: `cp /bin/busybox /place/sh; /place/sh -c "echo runs"; echo $?`,
  },
  {
    name: 'mounts: a file',
    prepare: tree('file'),
    change: addMount('/etc/hosts', 'bind', 'HOST/file', 'rbind', 'ro'),
    script: 'cat /etc/hosts; echo x > /etc/hosts; rm /etc/hosts; stat -c %F /etc/hosts',
  },
  {
    name: 'mounts: a file, to write',
    prepare: tree('file'),
    change: addMount('/etc/new/hosts', 'bind', 'HOST/file', 'rbind', 'rw'),
    script:
      'echo x > /etc/new/hosts; cat /etc/new/hosts; echo y >> /etc/new/hosts; cat /etc/new/hosts; mv /etc/new/hosts /x',
  },
  {
    name: 'mounts: not there',
    change: addMount('/place', 'bind', 'HOST/none', 'rbind'),
    script: 'ls /place',
    differs: {
      prints: /^quark: Cannot mount "BUNDLE\/host\/none": No such file or directory.*\nstatus 1\n$/,
      because: 'the words are our own',
    },
  },
  {
    name: 'mounts: by a link',
    prepare: (folders) => {
      tree('data/file', '/real/')(folders)
      void folders
    },
    change: addMount('/real/../real', 'bind', 'HOST/data', 'rbind'),
    script: 'ls /real',
  },
  {
    name: 'mounts: tmpfs',
    change: addMount('/place', 'tmpfs', 'tmpfs', 'size=1m', 'mode=750', 'uid=5', 'gid=6', 'nosuid', 'noexec'),
    script: `stat -c "%a %u:%g" /place; dd if=/dev/zero of=/place/x bs=1k count=2000; stat -c %s /place/x; df /place | tail -1; ${shown('/place')}`,
  },
  {
    name: 'mounts: tmpfs, nr_inodes',
    change: addMount('/place', 'tmpfs', 'tmpfs', 'nr_inodes=5'),
    script: `for i in 1 2 3 4 5 6; do touch /place/$i; done; ls /place`,
  },
  { name: 'mounts: tmpfs, percent', change: addMount('/place', 'tmpfs', 'tmpfs', 'size=50%'), script: `echo runs` },
  {
    name: 'mounts: tmpfs, unknown option',
    change: addMount('/place', 'tmpfs', 'tmpfs', 'nonsense=1'),
    script: `echo runs`,
    differs: {
      prints: /`mounts\[6\]\.options` has "nonsense=1", which tmpfs doesn't know\nstatus 1\n$/,
      because: 'the words are our own',
    },
  },
  {
    name: 'mounts: tmpfs, copied',
    prepare: tree('/place/file', '/place/sub/file'),
    change: addMount('/place', 'tmpfs', 'tmpfs', 'tmpcopyup'),
    script: `ls /place /place/sub; cat /place/sub/file; rm -r /place/sub; ls /place`,
  },
  {
    name: 'mounts: tmpfs, ro',
    change: addMount('/place', 'tmpfs', 'tmpfs', 'ro'),
    script: `touch /place/x; stat -c %a /place`,
  },
  {
    name: 'mounts: shm by CRI',
    prepare: tree('shm/'),
    change: (config, folders) => {
      config.mounts = config.mounts.filter(({ destination }) => destination !== '/dev/shm')
      addMount('/dev/shm', 'bind', 'HOST/shm', 'rbind', 'ro')(config, folders)
    },
    script: 'touch /dev/shm/x; ls -ld /dev/shm | cut -c1-10',
  },
  {
    name: 'mounts: rprivate',
    prepare: tree('data/file'),
    change: addMount('/place', 'bind', 'HOST/data', 'rbind', 'rprivate'),
    script: 'grep -c " /place .*shared:" /proc/self/mountinfo',
  },
  {
    name: 'mounts: rslave',
    prepare: tree('data/file'),
    change: addMount('/place', 'bind', 'HOST/data', 'rbind', 'rslave'),
    script: 'cat /place/file',
    differs: {
      prints: /`mounts\[6\]\.options` has "rslave", but neither.*\ndata\/file\nstatus 0\n$/,
      because: 'what is mounted later is not passed on, which is told',
    },
  },
  {
    name: 'mounts: rshared',
    prepare: tree('data/file'),
    change: addMount('/place', 'bind', 'HOST/data', 'rbind', 'rshared'),
    script: 'cat /place/file',
    differs: {
      prints: /`mounts\[6\]\.options` has "rshared", but neither.*\ndata\/file\nstatus 0\n$/,
      because: 'what is mounted later is not passed on, which is told',
    },
  },
  {
    name: 'mounts: unknown type',
    change: addMount('/place', 'nosuchfs', 'x'),
    script: 'echo runs',
    differs: {
      prints: /`mounts\[6\]\.type` is "nosuchfs", which our kernel doesn't have.*\nstatus 1\n$/,
      because: 'the words are our own',
    },
  },
  {
    name: 'mounts: order',
    prepare: tree('data/file', 'data/sub/', 'other/thing'),
    change: (config, folders) => {
      addMount('/place', 'bind', 'HOST/data', 'rbind')(config, folders)
      addMount('/place/sub', 'bind', 'HOST/other', 'rbind', 'ro')(config, folders)
    },
    script: 'ls /place /place/sub; touch /place/sub/x; touch /place/y; echo $?',
  },
  {
    name: 'mounts: times',
    prepare: tree('data/file'),
    change: addMount('/place', 'bind', 'HOST/data', 'rbind', 'noatime', 'nodiratime'),
    script: shown('/place'),
  },
  {
    name: 'mounts: strictatime',
    change: addMount('/place', 'tmpfs', 'tmpfs', 'strictatime'),
    script: shown('/place'),
  },
  {
    name: 'mounts: cgroup',
    change: addMount('/sys/fs/cgroup', 'cgroup', 'cgroup', 'nosuid', 'noexec', 'nodev', 'relatime', 'ro'),
    script: 'ls /sys/fs/cgroup; mkdir /sys/fs/cgroup/x; cat /sys/fs/cgroup/memory/memory.limit_in_bytes | wc -l',
    differs: {
      prints: /cgroup\.controllers(.*\n)*memory\.max\n(.*\n)*mkdir: .*Read-only file system\n/,
      because: 'guests see version 2 whatever the host has',
    },
  },
]
