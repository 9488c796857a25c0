import assert from 'node:assert/strict'
import { mkdtemp, readdir, readFile } from 'node:fs/promises'
import { after, before, describe, it } from 'node:test'

import { configmaps, events, pods, secrets, type Pod } from '@centaurus/api/core/v1'
import { systemClock } from '@centaurus/base'

import { BUSYBOX, startContainerdWorld, type ContainerdWorld } from './testing/containerd-world.ts'
import { isInNamespaces, runInNamespaces } from './testing/namespaces.ts'

if (!isInNamespaces()) {
  describe('a node agent on containerd', () => {
    it('passes in namespaces of its own', () => runInNamespaces(import.meta.url))
  })
} else {
  describe('a node agent on containerd', () => {
    let world: ContainerdWorld
    before(async () => {
      world = await startContainerdWorld({
        config: {
          housekeepingPeriodMs: 500,
          logBytesMax: 20_000,
          logFilesMax: 2,
        },
      })
    })
    after(() => world?.close())

    const sh = (script: string) => ({ name: 'main', image: BUSYBOX, command: ['sh', '-c', script] })
    const firstStatus = (pod: Pod) => pod.status?.containerStatuses?.[0]
    const isReady = (pod: Pod): boolean =>
      pod.status?.conditions?.find(({ type }) => type === 'Ready')?.status === 'True'
    const exec = async (pod: Pod, command: string): Promise<string> => {
      const id = firstStatus(pod)?.containerID?.replace('containerd://', '') ?? ''
      const { stdout, stderr } = await world.runtime.execSync(id, ['sh', '-c', command], 10)
      return Buffer.concat([stdout, stderr]).toString().trim()
    }
    const reasons = async (name: string): Promise<string[]> =>
      (await world.client.list(events)).items
        .filter((event) => event.involvedObject.name === name)
        .map((event) => event.reason ?? '')

    it('runs a pod, tells how it is, and deletes it with grace', async () => {
      await world.createPod('web', { containers: [sh('trap "exit 0" TERM; sleep 1000 & wait')] })
      const pod = await world.waitForPod('web', isReady)
      assert.equal(pod.status?.phase, 'Running')
      assert.match(pod.status?.podIP ?? '', /^10\.244\.7\.\d+$/)
      assert.equal(pod.status?.hostIP, '10.244.7.1')
      assert.equal(pod.status?.qosClass, 'BestEffort')
      assert.match(firstStatus(pod)?.containerID ?? '', /^containerd:\/\/[0-9a-f]{64}$/)
      world.client.deleteGracefully(pods, { namespace: 'default', name: 'web' }, 5)
      await world.waitUntilGone('web')
      assert.deepEqual((await reasons('web')).toSorted(), ['Created', 'Killing', 'Pulled', 'Started'])
      while ((await world.runtime.listSandboxes()).some(({ podName }) => podName === 'web')) await systemClock.sleep(50)
    })

    it('fails a task that ends badly, with its last words', async () => {
      await world.createPod('task', {
        restartPolicy: 'Never',
        containers: [sh('echo -n sorry > /dev/termination-log; exit 7')],
      })
      const pod = await world.waitForPod('task', ({ status }) => status?.phase === 'Failed')
      const ended = firstStatus(pod)?.state?.terminated
      assert.equal(ended?.exitCode, 7)
      assert.equal(ended?.reason, 'Error')
      assert.equal(ended?.message, 'sorry')
    })

    it('takes the end of the log for last words when asked to', async () => {
      const container = { ...sh('echo one; echo two; exit 1'), terminationMessagePolicy: 'FallbackToLogsOnError' }
      await world.createPod('talker', { restartPolicy: 'Never', containers: [container] })
      const pod = await world.waitForPod('talker', ({ status }) => status?.phase === 'Failed')
      assert.equal(firstStatus(pod)?.state?.terminated?.message, 'one\ntwo\n')
    })

    it('restarts a crashing container with back-off', async () => {
      await world.createPod('crash', { containers: [sh('exit 1')] })
      const pod = await world.waitForPod(
        'crash',
        (it) => firstStatus(it)?.state?.waiting?.reason === 'CrashLoopBackOff',
      )
      assert.match(
        firstStatus(pod)?.state?.waiting?.message ?? '',
        /^back-off 10s restarting failed container=main pod=crash_default\([0-9a-f-]+\)$/,
      )
      assert.equal(firstStatus(pod)?.lastState?.terminated?.exitCode, 1)
      assert.equal(firstStatus(pod)?.restartCount, 1)
      world.client.deleteGracefully(pods, { namespace: 'default', name: 'crash' }, 1)
    })

    it('tells that the kernel killed a container for its memory', async () => {
      const container = {
        ...sh('x=a; while true; do x=$x$x; done'),
        resources: { limits: { memory: '16Mi' }, requests: { memory: '16Mi' } },
      }
      await world.createPod('hungry', { restartPolicy: 'Never', containers: [container] })
      const pod = await world.waitForPod('hungry', ({ status }) => status?.phase === 'Failed')
      assert.equal(firstStatus(pod)?.state?.terminated?.reason, 'OOMKilled')
      assert.equal(firstStatus(pod)?.state?.terminated?.exitCode, 137)
    })

    it('says why an image is not there', async () => {
      await world.createPod('never', {
        containers: [{ name: 'main', image: 'centaurus.io/test/none:1', imagePullPolicy: 'Never' }],
      })
      await world.createPod('pull', { containers: [{ name: 'main', image: '127.0.0.1:1/none:1' }] })
      const never = await world.waitForPod(
        'never',
        (pod) => firstStatus(pod)?.state?.waiting?.reason === 'ErrImageNeverPull',
      )
      assert.equal(
        firstStatus(never)?.state?.waiting?.message,
        'Container image "centaurus.io/test/none:1" is not present with pull policy of Never',
      )
      await world.waitForPod('pull', (pod) => firstStatus(pod)?.state?.waiting?.reason === 'ImagePullBackOff')
      assert.ok((await reasons('pull')).includes('Failed'))
      for (const name of ['never', 'pull']) world.client.deleteGracefully(pods, { namespace: 'default', name }, 1)
    })

    it('runs init containers in order, then a sidecar, then the rest', async () => {
      const volumeMounts = [{ name: 'work', mountPath: '/work' }]
      const step = (name: string, script: string) => ({ ...sh(script), name, volumeMounts })
      await world.createPod('staged', {
        restartPolicy: 'Never',
        volumes: [{ name: 'work', emptyDir: {} }],
        initContainers: [
          step('first', 'echo -n 1 >> /work/order'),
          { ...step('side', 'echo -n 2 >> /work/order; sleep 1000'), restartPolicy: 'Always' },
          step('third', 'sleep 0.3; echo -n 3 >> /work/order'),
        ],
        containers: [step('main', 'cat /work/order > /dev/termination-log')],
      })
      const pod = await world.waitForPod('staged', ({ status }) => status?.phase === 'Succeeded')
      assert.equal(firstStatus(pod)?.state?.terminated?.message, '123')
      assert.deepEqual(
        pod.status?.initContainerStatuses?.map(({ state }) => Object.keys(state ?? {})[0]),
        ['terminated', 'terminated', 'terminated'],
      )
    })

    it('mounts volumes and keeps them true', async () => {
      const meta = (name: string) => ({ name, namespace: 'default' })
      await world.client.create(configmaps, { metadata: meta('settings'), data: { color: 'red' } })
      await world.client.create(secrets, {
        metadata: meta('password'),
        data: { pw: Buffer.from('geheim').toString('base64') },
      })
      const mount = (name: string, path: string, extra = {}) => ({ name, mountPath: path, ...extra })
      await world.createPod('volumes', {
        securityContext: { fsGroup: 2000 },
        volumes: [
          { name: 'settings', configMap: { name: 'settings' } },
          { name: 'password', secret: { secretName: 'password', defaultMode: 0o400 } },
          { name: 'memory', emptyDir: { medium: 'Memory', sizeLimit: '1Mi' } },
          {
            name: 'identity',
            projected: {
              sources: [
                { serviceAccountToken: { path: 'token' } },
                { downwardAPI: { items: [{ path: 'name', fieldRef: { fieldPath: 'metadata.name' } }] } },
              ],
            },
          },
        ],
        containers: [
          {
            ...sh('sleep 1000'),
            env: [
              { name: 'COLOR', valueFrom: { configMapKeyRef: { name: 'settings', key: 'color' } } },
              { name: 'WHERE', valueFrom: { fieldRef: { fieldPath: 'status.podIP' } } },
              { name: 'BOTH', value: '$(COLOR)-$(NONE)-$$(COLOR)' },
            ],
            volumeMounts: [
              mount('settings', '/settings'),
              mount('password', '/password'),
              mount('memory', '/memory'),
              mount('identity', '/identity'),
              mount('memory', '/part', { subPath: 'sub' }),
            ],
          },
        ],
      })
      const pod = await world.waitForPod('volumes', isReady)
      assert.equal(await exec(pod, 'cat /settings/color /password/pw'), 'redgeheim')
      assert.equal(await exec(pod, 'echo $COLOR $WHERE $BOTH'), `red ${pod.status?.podIP} red-$(NONE)-$(COLOR)`)
      assert.equal(await exec(pod, 'cat /identity/name; cat /identity/token'), 'volumestoken-of-default')
      assert.equal(await exec(pod, 'stat -f -c %T /memory; stat -c %g /memory'), 'tmpfs\n2000')
      assert.equal(await exec(pod, 'dd if=/dev/zero of=/memory/x bs=1M count=4 2>&1 | grep -c "No space"'), '1')
      assert.equal(await exec(pod, 'touch /part/here && ls /memory/sub'), 'here')
      assert.match(await exec(pod, 'cat /etc/hosts'), new RegExp(`${pod.status?.podIP}\\s+volumes`))
      await world.client.patch(configmaps, meta('settings'), { type: 'merge', body: { data: { color: 'blue' } } })
      while ((await exec(pod, 'cat /settings/color')) !== 'blue') await systemClock.sleep(50)
      world.client.deleteGracefully(pods, meta('volumes'), 1)
      await world.waitUntilGone('volumes')
      assert.doesNotMatch(await readFile('/proc/self/mountinfo', 'utf8'), new RegExp(pod.metadata.uid ?? ''))
    })

    it('waits for a missing config map, then starts', async () => {
      await world.createPod('patient', {
        volumes: [{ name: 'late', configMap: { name: 'late' } }],
        containers: [{ ...sh('sleep 1000'), volumeMounts: [{ name: 'late', mountPath: '/late' }] }],
      })
      while (!(await reasons('patient')).includes('FailedMount')) await systemClock.sleep(50)
      await world.client.create(configmaps, { metadata: { name: 'late', namespace: 'default' }, data: { a: '1' } })
      const pod = await world.waitForPod('patient', isReady)
      assert.equal(await exec(pod, 'cat /late/a'), '1')
    })

    it('kills what fails its liveness probe and shuns what is not ready', async () => {
      const quick = { periodSeconds: 1, failureThreshold: 1 }
      await world.createPod('probed', {
        terminationGracePeriodSeconds: 1,
        containers: [
          {
            ...sh('mkdir /www; echo ok > /www/index.html; httpd -f -p 8080 -h /www'),
            ports: [{ name: 'web', containerPort: 8080 }],
            startupProbe: { tcpSocket: { port: 'web' }, periodSeconds: 1, failureThreshold: 30 },
            readinessProbe: { httpGet: { port: 'web', path: '/index.html' }, ...quick },
            livenessProbe: { exec: { command: ['test', '!', '-e', '/dead'] }, ...quick },
          },
        ],
      })
      const pod = await world.waitForPod('probed', isReady)
      await exec(pod, 'mv /www/index.html /www/gone')
      await world.waitForPod('probed', (it) => !isReady(it))
      await exec(pod, 'touch /dead')
      const restarted = await world.waitForPod('probed', (it) => firstStatus(it)?.restartCount === 1 && isReady(it))
      assert.notEqual(firstStatus(restarted)?.containerID, firstStatus(pod)?.containerID)
      assert.ok((await reasons('probed')).includes('Unhealthy'))
    })

    it('fails a pod that does not fit', async () => {
      await world.createPod('giant', { containers: [{ ...sh('true'), resources: { requests: { cpu: '1000' } } }] })
      const pod = await world.waitForPod('giant', ({ status }) => status?.phase === 'Failed')
      assert.equal(pod.status?.reason, 'OutOfcpu')
    })

    it('ends a pod at its deadline', async () => {
      await world.createPod('slow', { activeDeadlineSeconds: 1, containers: [sh('sleep 1000')] })
      const pod = await world.waitForPod('slow', ({ status }) => status?.phase === 'Failed')
      assert.equal(pod.status?.reason, 'DeadlineExceeded')
    })

    it('runs hooks around a container’s life', async () => {
      const folder = await mkdtemp(`${world.dir}/hooks-`)
      const lifecycle = {
        postStart: { exec: { command: ['touch', '/shared/started'] } },
        preStop: { exec: { command: ['touch', '/shared/stopping'] } },
      }
      await world.createPod('hooked', {
        volumes: [{ name: 'shared', hostPath: { path: folder, type: 'Directory' } }],
        containers: [{ ...sh('sleep 1000'), lifecycle, volumeMounts: [{ name: 'shared', mountPath: '/shared' }] }],
      })
      await world.waitForPod('hooked', isReady)
      await readFile(`${folder}/started`)
      world.client.deleteGracefully(pods, { namespace: 'default', name: 'hooked' }, 2)
      await world.waitUntilGone('hooked')
      await readFile(`${folder}/stopping`)
    })

    it('rotates logs', async () => {
      await world.createPod('chatty', {
        containers: [sh('i=0; while true; do i=$((i+1)); echo line-of-the-log-$i; usleep 1000; done')],
      })
      const pod = await world.waitForPod('chatty', isReady)
      const folder = `${world.dir}/logs/default_chatty_${pod.metadata.uid}/main`
      while ((await readdir(folder)).length < 2) await systemClock.sleep(50)
      const kept = (await readdir(folder)).toSorted()
      assert.match(kept.join(' '), /^0\.log 0\.log\.\d{8}-\d{6}(\.\d+)?$/)
      world.client.deleteGracefully(pods, { namespace: 'default', name: 'chatty' }, 1)
      await world.waitUntilGone('chatty')
    })

    it('adopts running containers after the agent was replaced', async () => {
      await world.createPod('steady', { containers: [sh('sleep 1000')] })
      const before = await world.waitForPod('steady', isReady)
      await world.restartAgent()
      await world.createPod('later', { containers: [sh('sleep 1000')] })
      await world.waitForPod('later', isReady)
      const after = await world.getPod('steady')
      assert.equal(firstStatus(after)?.containerID, firstStatus(before)?.containerID)
      assert.equal(firstStatus(after)?.restartCount, 0)
      assert.equal(isReady(after), true)
    })

    it('ends pods that were deleted while no agent looked', async () => {
      await world.agent.close()
      await world.client.delete(pods, { namespace: 'default', name: 'later' })
      await world.restartAgent()
      while ((await world.runtime.listSandboxes()).some(({ podName }) => podName === 'later'))
        await systemClock.sleep(50)
    })
  })
}
