import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { CAPABILITY_FIELDS } from './capability-fields.ts'
import { setLinux, setProcess, tree, type Field } from './field.ts'
import { MOUNT_FIELDS } from './mount-fields.ts'

/** Every field that containerd's CRI, Docker and podman set, and what shows that it works. */
export const FIELDS: readonly Field[] = [
  { name: 'nothing', change: () => {}, script: 'id; pwd; env | sort; umask; hostname; cat /proc/self/limits' },
  { name: 'dev', change: () => {}, script: 'ls -lA /dev /dev/shm /dev/pts /dev/mqueue | sed "s/ [A-Z].*:.. / /"' },
  { name: 'mounts', change: () => {}, script: 'cut -d" " -f2-4 /proc/mounts | tail -n +2' },
  {
    name: 'status',
    change: () => {},
    script: 'grep -E "^(Cap|NoNew|Groups|Umask)" /proc/self/status; cat /proc/self/oom_score_adj',
  },
  {
    name: 'root.readonly',
    change: (config) => void (config.root.readonly = true),
    script: 'touch /x; echo $?; grep " / " /proc/mounts | grep -o " ro,"; touch /tmp/x; echo $?',
  },
  {
    name: 'linux.maskedPaths',
    prepare: tree('/secret', '/folder/file'),
    change: setLinux({ maskedPaths: ['/secret', '/folder', '/none', '/proc/kcore', '/sys/firmware'] }),
    script:
      'cat /secret | wc -c; ls -A /folder | wc -l; touch /folder/x; echo $?; ls -d /none; ls /sys/firmware | wc -l; echo x > /secret; cat /secret',
  },
  {
    name: 'linux.readonlyPaths',
    prepare: tree('/fixed', '/folder/file'),
    change: setLinux({ readonlyPaths: ['/fixed', '/folder', '/none', '/proc/sys', '/proc/sysrq-trigger'] }),
    script:
      'cat /fixed; echo x > /fixed; touch /folder/file; rm /folder/file; mkdir /folder/x; echo x > /proc/sys/kernel/hostname; echo x > /proc/sysrq-trigger; hostname',
  },
  ...CAPABILITY_FIELDS,
  {
    name: 'process.noNewPrivileges',
    change: setProcess({ noNewPrivileges: true }),
    script: 'grep NoNewPrivs /proc/self/status',
  },
  {
    name: 'process.oomScoreAdj',
    change: setProcess({ oomScoreAdj: 500 }),
    script: 'cat /proc/self/oom_score_adj; sh -c "cat /proc/self/oom_score_adj"',
  },
  {
    name: 'process.rlimits',
    change: setProcess({
      rlimits: [
        ['CPU', 100, 200],
        ['FSIZE', 1 << 20, 1 << 20],
        ['DATA', 1 << 30, 1 << 30],
        ['STACK', 4 << 20, 8 << 20],
        ['CORE', 0, 0],
        ['RSS', 1 << 30, 1 << 30],
        ['NPROC', 100, 100],
        ['NOFILE', 77, 88],
        ['MEMLOCK', 4096, 8192],
        ['AS', 4e9, 4e9],
        ['LOCKS', 5, 5],
        ['SIGPENDING', 60, 60],
        ['MSGQUEUE', 1000, 1000],
        ['NICE', 0, 0],
        ['RTPRIO', 0, 0],
        ['RTTIME', 1000, 1000],
      ].map(([type, soft, hard]) => ({ type: `RLIMIT_${type}`, soft, hard })),
    }),
    script:
      'cat /proc/self/limits; ulimit -n; dd if=/dev/zero of=/tmp/x bs=1M count=2 2>/dev/null; echo $?; ls -l /tmp/x | cut -d" " -f5; ulimit -n 99; ulimit -n 80; ulimit -n',
  },
  {
    name: 'linux.sysctl',
    change: setLinux({
      sysctl: {
        'kernel.shm_rmid_forced': '1',
        'kernel.shmmax': '12345678',
        'kernel.shmall': '999',
        'kernel.shmmni': '77',
        'kernel.msgmax': '4096',
        'kernel.msgmnb': '8192',
        'kernel.msgmni': '99',
        'kernel.sem': '100 2000 30 40',
        'fs.mqueue.msg_max': '20',
        'fs.mqueue.queues_max': '30',
        'fs.mqueue.msgsize_max': '4096',
        'kernel.domainname': 'example.test',
      },
    }),
    script:
      'cd /proc/sys; for name in kernel/shm_rmid_forced kernel/shmmax kernel/shmall kernel/shmmni kernel/msgmax kernel/msgmnb kernel/msgmni kernel/sem fs/mqueue/msg_max fs/mqueue/queues_max fs/mqueue/msgsize_max kernel/domainname; do echo $name $(cat $name); done',
  },
  {
    name: 'linux.sysctl: net',
    change: setLinux({
      sysctl: {
        'net.ipv4.ip_local_port_range': '30000 30100',
        'net.ipv4.tcp_syncookies': '0',
        'net.core.somaxconn': '77',
        'net.ipv4.ip_local_reserved_ports': '30050',
        'net.ipv4.tcp_keepalive_time': '600',
        'net.ipv4.tcp_fin_timeout': '33',
        'net.ipv4.tcp_keepalive_intvl': '11',
        'net.ipv4.tcp_keepalive_probes': '4',
        'net.ipv4.tcp_rmem': '4096 8192 16384',
        'net.ipv4.tcp_wmem': '4096 8192 16384',
        'net.ipv4.conf.all.rp_filter': '2',
        'net.ipv6.conf.all.disable_ipv6': '1',
      },
    }),
    script:
      'cd /proc/sys/net; for name in ipv4/ip_local_port_range ipv4/tcp_syncookies core/somaxconn ipv4/ip_local_reserved_ports ipv4/tcp_keepalive_time ipv4/tcp_fin_timeout ipv4/tcp_keepalive_intvl ipv4/tcp_keepalive_probes ipv4/tcp_rmem ipv4/tcp_wmem ipv4/conf/all/rp_filter ipv6/conf/all/disable_ipv6; do echo $name $(cat $name); done',
  },
  {
    name: 'linux.sysctl: low ports',
    change: (config) => {
      setLinux({ sysctl: { 'net.ipv4.ip_unprivileged_port_start': '80', 'net.ipv4.ping_group_range': '5 6' } })(
        config,
        { host: '' },
      )
      Object.assign(config.process, { user: { uid: 1000, gid: 1000 }, capabilities: {} })
    },
    script:
      'cat /proc/sys/net/ipv4/ip_unprivileged_port_start /proc/sys/net/ipv4/ping_group_range; (timeout 1 nc -l -p 80 </dev/null; echo $?); (timeout 1 nc -l -p 79 </dev/null; echo $?); ping -c 1 -w 1 127.0.0.1',
  },
  {
    name: 'linux.sysctl: ports of root',
    change: setLinux({ sysctl: { 'net.ipv4.ip_unprivileged_port_start': '1024' } }),
    script: 'cat /proc/sys/net/ipv4/ip_unprivileged_port_start; timeout 1 nc -l -p 80 </dev/null; echo $?',
  },
  {
    name: 'linux.sysctl: unknown',
    change: setLinux({ sysctl: { 'kernel.nonsense': '1' } }),
    script: 'echo runs',
    differs: {
      prints: /`linux\.sysctl\["kernel\.nonsense"\]` is not one of the pod's own.*\nstatus 1/,
      because: 'the words are our own',
    },
  },
  {
    name: 'linux.sysctl: of the host',
    change: setLinux({ sysctl: { 'kernel.panic': '1' } }),
    script: 'cat /proc/sys/kernel/panic',
    differs: {
      prints: /`linux\.sysctl\["kernel\.panic"\]` is not one of the pod's own.*\nstatus 1/,
      because: 'the words are our own',
    },
  },
  {
    name: 'process.user',
    change: setProcess({ user: { uid: 5, gid: 6, umask: 0o27, additionalGids: [7, 8, 9] } }),
    script: 'id; umask; touch /tmp/x; ls -ln /tmp/x | cut -d" " -f1-20 | sed "s/ [A-Z].*//"; echo $HOME',
  },
  {
    name: 'process.user: of /etc/passwd',
    prepare: ({ rootfs }) => {
      writeFileSync(join(rootfs, 'etc/passwd'), 'root:x:0:0:root:/root:/bin/sh\nsome:x:5:6::/home/some:/bin/sh\n')
      writeFileSync(join(rootfs, 'etc/group'), 'root:x:0:\nsome:x:6:\n')
    },
    change: setProcess({ user: { uid: 5, gid: 6 } }),
    script: 'id; echo $HOME',
  },
  {
    name: 'linux.devices',
    change: setLinux({
      devices: [
        { path: '/dev/fuse', type: 'c', major: 10, minor: 229, fileMode: 0o600, uid: 3, gid: 4 },
        { path: '/dev/sub/disk', type: 'b', major: 254, minor: 9, fileMode: 0o640 },
        { path: '/dev/unset', type: 'c', major: 1, minor: 3 },
        { path: '/dev/fifo', type: 'p', fileMode: 0o622 },
        { path: '/other/null', type: 'c', major: 1, minor: 3, fileMode: 0o666 },
      ],
    }),
    script:
      'for name in fuse sub/disk unset fifo null ../other/null; do stat -c "%n %F %a %u:%g %t:%T" /dev/$name; done; echo x > /other/null; echo $?; head -c 1 /dev/sub/disk 2>/dev/null; echo $?',
  },
  {
    name: 'linux.resources.cpu.cpus',
    change: setLinux({ resources: { cpu: { cpus: '0' } } }),
    script: 'nproc; grep Cpus_allowed_list /proc/self/status',
  },
  {
    name: 'linux.resources.pids',
    change: setLinux({ resources: { pids: { limit: 4 } } }),
    script: 'sleep 1 & sleep 1 & sleep 1 & echo three; sleep 1 & echo four; wait',
  },
  {
    name: 'linux.resources.memory',
    change: setLinux({ resources: { memory: { limit: 33_554_432 } } }),
    script: "sh -c 'x=aaaaaaaaaaaaaaaa; while true; do x=$x$x; done'; echo $?",
  },
  {
    name: 'linux.resources.hugepageLimits',
    change: setLinux({ resources: { hugepageLimits: [{ pageSize: '2MB', limit: 4194304 }] } }),
    script: 'echo runs',
    differs: {
      prints: /^(quark: No limit by "hugetlb\.2MB\.max".*\n)?runs\nstatus 0\n$/,
      because: 'where the host limits none it is told, and runc fails',
    },
  },
  {
    name: 'linux.resources.hugepageLimits: unknown',
    change: setLinux({ resources: { hugepageLimits: [{ pageSize: '3MB', limit: 3145728 }] } }),
    script: 'echo runs',
    differs: {
      prints: /^quark: No limit by "hugetlb\.3MB\.max".*\nruns\nstatus 0\n$/,
      because: 'where the host limits none it is told, and runc fails',
    },
  },
  {
    name: 'linux.resources.devices',
    change: setLinux({ resources: { devices: [{ allow: false, access: 'rwm' }] } }),
    script:
      'echo x > /dev/null; echo $?; head -c 2 /dev/urandom | wc -c; mknod /tmp/disk b 254 0; head -c 1 /tmp/disk | wc -c',
    differs: {
      prints: /^0\n2\nmknod: \/tmp\/disk: Operation not permitted\n/,
      because: 'no guest reaches a device of the host, so that none can be made',
    },
  },
  ...MOUNT_FIELDS,
  {
    name: 'hostname, domainname',
    change: (config) => void Object.assign(config, { hostname: 'some', domainname: 'example.test' }),
    script: 'hostname; cat /proc/sys/kernel/hostname /proc/sys/kernel/domainname; hostname new; hostname',
    differs: {
      prints: /^some\nsome\nexample\.test\nhostname: .*\nsome\nstatus 0\n$/,
      because: 'runc sets domain names since 1.2',
    },
  },
  { name: 'hostname: none', change: (config) => void delete config['hostname'], script: 'hostname' },
  {
    name: 'linux.namespaces: no uts',
    change: (config) =>
      void Object.assign(config, {
        hostname: undefined,
        linux: { namespaces: ['pid', 'network', 'ipc', 'mount'].map((type) => ({ type })) },
      }),
    script: 'hostname',
  },
  {
    name: 'linux.namespaces: user',
    prepare: ({ rootfs }) => writeFileSync(join(rootfs, 'tmp/mine'), ''),
    change: (config) => {
      const mapping = [
        { containerID: 0, hostID: 0, size: 1000 },
        { containerID: 5000, hostID: 1000, size: 10 },
      ]
      Object.assign(config.linux, {
        namespaces: ['pid', 'network', 'ipc', 'uts', 'mount', 'user'].map((type) => ({ type })),
        uidMappings: mapping,
        gidMappings: mapping,
      })
    },
    script: 'cat /proc/self/uid_map /proc/self/gid_map; id; stat -c %u:%g /tmp',
    differs: {
      prints: /^ +0 +0 +4294967295\n +0 +0 +4294967295\nuid=0 gid=0\n0:0\nstatus 0\n$/,
      because: 'guests are not told which ids of the host are theirs',
    },
  },
  { name: 'process.cwd', change: setProcess({ cwd: '/new/folder' }), script: 'pwd; stat -c "%a %u:%g" . /new' },
  {
    name: 'process.cwd: of a user',
    change: setProcess({ cwd: '/new', user: { uid: 5, gid: 6 } }),
    script: 'pwd; stat -c "%a %u:%g" .',
  },
  {
    name: 'process.cwd: a file',
    prepare: tree('/file'),
    change: setProcess({ cwd: '/file' }),
    script: 'pwd',
    differs: { prints: /^quark: chdir to \/file: Not a directory.*\nstatus 1\n$/, because: 'the words are our own' },
  },
  {
    name: 'process.env',
    change: setProcess({ env: ['PATH=/bin', 'A=1', 'A=2', 'EMPTY=', 'HOME=/x', 'with space=y'] }),
    script: 'env | sort',
  },
  {
    name: 'process.env: no PATH',
    change: setProcess({ env: ['A=1'], args: ['sh', '-c', 'echo found'] }),
    script: '',
    differs: { prints: /^found\nstatus 0\n$/, because: 'the usual folders are looked at' },
  },
  {
    name: 'process.args: not there',
    change: setProcess({ args: ['/none'] }),
    script: '',
    differs: {
      prints: /^quark: exec \/none: No such file or directory.*\nstatus 1\n$/,
      because: 'the words are our own',
    },
  },
  {
    name: 'process.args: no program',
    prepare: tree('/file'),
    change: setProcess({ args: ['/file'] }),
    script: '',
    differs: { prints: /^quark: exec \/file: Permission denied.*\nstatus 1\n$/, because: 'the words are our own' },
  },
  {
    name: 'process.args: a folder',
    change: setProcess({ args: ['/tmp'] }),
    script: '',
    differs: { prints: /^quark: exec \/tmp: Permission denied.*\nstatus 1\n$/, because: 'the words are our own' },
  },
  {
    name: 'process.args: not in PATH',
    change: setProcess({ args: ['nonesuch'] }),
    script: '',
    differs: {
      prints: /^quark: exec nonesuch: executable file not found in \$PATH\nstatus 1\n$/,
      because: 'the words are our own',
    },
  },
  {
    name: 'linux.rootfsPropagation',
    change: setLinux({ rootfsPropagation: 'rslave' }),
    script: 'echo runs; grep -c shared: /proc/self/mountinfo',
  },
  { name: 'linux.rootfsPropagation: shared', change: setLinux({ rootfsPropagation: 'shared' }), script: 'echo runs' },
  { name: 'linux.personality', change: setLinux({ personality: { domain: 'LINUX' } }), script: 'uname -m' },
  {
    name: 'linux.seccomp',
    change: setLinux({
      seccomp: {
        defaultAction: 'SCMP_ACT_ALLOW',
        architectures: ['SCMP_ARCH_X86_64'],
        syscalls: [{ names: ['mkdir', 'mkdirat'], action: 'SCMP_ACT_ERRNO', errnoRet: 38 }],
      },
    }),
    script: 'mkdir /tmp/x; grep Seccomp: /proc/self/status',
    differs: {
      prints: /^Seccomp:\t0\nstatus 0\n$/,
      because: 'it is for system calls of the host, which no guest makes',
    },
  },
  {
    name: 'process.apparmorProfile',
    change: setProcess({ apparmorProfile: 'cri-containerd.apparmor.d' }),
    script: 'echo runs',
    differs: { prints: /^runs\nstatus 0\n$/, because: 'it would hold the kernel, not the guest' },
  },
  {
    name: 'process.selinuxLabel',
    change: setProcess({ selinuxLabel: 'system_u:system_r:container_t:s0' }),
    script: 'echo runs',
    differs: { prints: /^runs\nstatus 0\n$/, because: 'it would hold the kernel, not the guest' },
  },
  {
    name: 'annotations',
    change: (config) => void (config['annotations'] = { 'io.kubernetes.cri.container-name': 'some', odd: '' }),
    script: 'echo runs',
  },
  {
    name: 'process.ioPriority, scheduler',
    change: setProcess({
      ioPriority: { class: 'IOPRIO_CLASS_BE', priority: 5 },
      scheduler: { policy: 'SCHED_BATCH', nice: 5 },
    }),
    script: 'ionice; nice; chrt -p $$',
    differs: {
      prints: /`process\.ioPriority` is not applied\nquark: `process\.scheduler` is not applied\n/,
      because: 'it is told that they have no effect; runc has them since 1.2',
    },
  },
]
