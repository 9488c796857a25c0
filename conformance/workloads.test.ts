import assert from 'node:assert/strict'
import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { after, before, describe, it } from 'node:test'
import { BUNDLED_MINORS } from '../apps/centaurus/src/bundled-kubectl.ts'
import { TestCluster, whyNoRoot } from './lib/cluster.ts'
import { run, waitFor } from './lib/processes.ts'

describe('a cluster with real containers', { skip: whyNoRoot() }, () => {
  let cluster: TestCluster

  before(async () => {
    cluster = await TestCluster.create('work')
    const output = await cluster.up()
    assert.match(output, /The cluster is up/)
    await cluster.kubectl('apply -f examples/web.yaml')
  })
  after(() => cluster?.remove())

  const podName = async (selector: string): Promise<string> =>
    (await cluster.kubectl(`-n web get pods -l ${selector} -o jsonpath={.items[0].metadata.name}`)).trim()

  it('runs every workload of the example', async () => {
    await cluster.kubectl('-n web rollout status deployment/web --timeout=90s')
    await cluster.kubectl('-n web rollout status statefulset/store --timeout=90s')
    await cluster.kubectl('-n web rollout status daemonset/agent --timeout=60s')
    await cluster.kubectl('-n web wait --for=condition=complete job/hello --timeout=60s')
    const all = await cluster.kubectl('-n web get all -o wide')
    assert.match(all, /deployment\.apps\/web\s+3\/3/)
    assert.match(all, /statefulset\.apps\/store\s+2\/2/)
    assert.match(all, /job\.batch\/hello\s+Complete\s+2\/2/)
    assert.match(all, /cronjob\.batch\/tick/)
  })

  it('serves pods through their Service', async () => {
    const ip = (await cluster.kubectl('-n web get service web -o jsonpath={.spec.clusterIP}')).trim()
    const pod = await podName('app=agent')
    const page = await cluster.kubectl(`-n web exec ${pod} -- timeout 5 wget -qO- http://${ip}/`)
    assert.match(page, /It works/)
  })

  it('resolves names of services and stateful pods', async () => {
    const pod = await podName('app=agent')
    assert.match(await cluster.kubectl(`-n web exec ${pod} -- timeout 5 wget -qO- http://web/`), /It works/)
    assert.match(
      await cluster.kubectl(`-n web exec ${pod} -- timeout 5 wget -qO- http://store-1.store:8080/`),
      /store-1/,
    )
  })

  it('shows logs, follows them, and limits them', async () => {
    const pod = (
      await cluster.kubectl(
        '-n web get pods -l batch.kubernetes.io/job-name=hello -o jsonpath={.items[0].metadata.name}',
      )
    ).trim()
    assert.equal(await cluster.kubectl(`-n web logs ${pod}`), `Hello from ${pod}\n`)
    assert.equal(await cluster.kubectl(`-n web logs -f ${pod} --tail=1`), `Hello from ${pod}\n`)
    assert.match(await cluster.kubectl(`-n web logs ${pod} --timestamps`), /^\d{4}-\d\d-\d\dT\S+ Hello/)
    assert.equal(await cluster.kubectl(`-n web logs ${pod} --limit-bytes=5`), 'Hello')
  })

  it('executes commands, passes their code on, and copies files', async () => {
    const pod = await podName('app=web')
    assert.equal(
      await cluster.kubectl(['-n', 'web', 'exec', '-i', pod, '--', 'cat'], { input: 'through stdin' }),
      'through stdin',
    )
    const failed = await cluster.tryKubectl(['-n', 'web', 'exec', pod, '--', 'sh', '-c', 'exit 7'])
    assert.equal(failed.code, 7)
    assert.match(await cluster.kubectl(`-n web exec ${pod} -- cat /etc/credentials/user`), /^shop$/)
    const file = join(cluster.home, 'note.txt')
    await writeFile(file, 'copied')
    await cluster.kubectl(`-n web cp ${file} ${pod}:/tmp/note.txt`)
    await cluster.kubectl(`-n web cp ${pod}:/tmp/note.txt ${file}.back`)
    assert.equal((await run(['cat', `${file}.back`])).stdout, 'copied')
  })

  it('gives a terminal', async () => {
    const pod = await podName('app=web')
    // script(1) gives kubectl a terminal of its own.
    const command = cluster.kubectlCommand(`-n web exec -it ${pod} -- tty`).join(' ')
    const { stdout } = await run(['script', '-qec', command, '/dev/null'])
    assert.match(stdout, /\/dev\/pts\/\d+/)
  })

  it('forwards ports', async () => {
    for (const minor of BUNDLED_MINORS) {
      const pod = await podName('app=web')
      const forward = cluster.startKubectl(`-n web port-forward pod/${pod} :8080`, minor)
      try {
        let seen = ''
        forward.stdout?.setEncoding('utf8').on('data', (chunk: string) => (seen += chunk))
        const port = await waitFor('port-forward', async () => /127\.0\.0\.1:(\d+) ->/.exec(seen)?.[1], {
          timeoutMs: 20_000,
        })
        const page = await cluster.inNetwork(['busybox', 'wget', '-qO-', `http://127.0.0.1:${port}/`])
        assert.match(page, /It works/)
      } finally {
        forward.kill()
      }
    }
  })

  it('scales, rolls out, undoes and restarts', async () => {
    await cluster.kubectl('-n web scale deployment/web --replicas=2')
    await cluster.eventually('-n web get deployment web -o jsonpath={.status.readyReplicas}', (text) => text === '2')
    await cluster.kubectl('-n web set env deployment/web COLOUR=blue')
    await cluster.kubectl('-n web rollout status deployment/web --timeout=90s')
    assert.match(await cluster.kubectl('-n web rollout history deployment/web'), /^2\s/m)
    await cluster.kubectl('-n web rollout undo deployment/web')
    await cluster.kubectl('-n web rollout status deployment/web --timeout=90s')
    assert.equal(await cluster.kubectl('-n web get deployment web -o jsonpath={..env[?(@.name=="COLOUR")].value}'), '')
    await cluster.kubectl('-n web rollout restart deployment/web')
    await cluster.kubectl('-n web rollout status deployment/web --timeout=90s')
  })

  it('restarts a container that crashes, with back-off', async () => {
    await cluster.kubectl([
      'run',
      'crash',
      '--image=localhost/centaurus/busybox:1',
      '--',
      'sh',
      '-c',
      'echo dying; exit 3',
    ])
    await cluster.eventually('get pod crash', (text) => /CrashLoopBackOff/.test(text))
    assert.match(await cluster.kubectl('logs crash --previous'), /dying/)
    assert.match(await cluster.kubectl('describe pod crash'), /Exit Code:\s+3/)
    await cluster.kubectl('delete pod crash --wait=true --timeout=30s')
  })

  it('says what is wrong with a missing image', async () => {
    await cluster.kubectl(['run', 'missing', '--image=localhost/no/such:1', '--image-pull-policy=Never'])
    await cluster.eventually('get pod missing', (text) => /ErrImageNeverPull/.test(text))
    await cluster.kubectl('delete pod missing')
  })

  it('kills a container that uses too much memory and says OOMKilled', async () => {
    const overrides = JSON.stringify({
      spec: {
        containers: [
          {
            name: 'hog',
            image: 'localhost/centaurus/busybox:1',
            command: ['sh', '-c', 'x=a; while :; do x=$x$x; done'],
            resources: { limits: { memory: '24Mi' } },
          },
        ],
      },
    })
    await cluster.kubectl(['run', 'hog', '--image=x', '--restart=Never', `--overrides=${overrides}`])
    await cluster.eventually('get pod hog', (text) => /OOMKilled/.test(text))
    await cluster.kubectl('delete pod hog')
  })

  it('deletes a namespace with everything in it', async () => {
    await cluster.kubectl('delete namespace web --timeout=90s')
    const left = await cluster.tryKubectl('get namespace web')
    assert.match(left.stderr, /NotFound/)
    await cluster.eventually('get pods -A', (text) => !/\bweb\b/.test(text))
  })
})
