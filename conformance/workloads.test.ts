import assert from 'node:assert/strict'
import { readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { after, before, describe, it } from 'node:test'
import { BUNDLED_MINORS } from '../apps/centaurus/src/bundled-kubectl.ts'
import { ROOT, TestCluster, whyNoRoot } from './lib/cluster.ts'
import { pod, shell } from './lib/manifests.ts'
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

  it('serves a Service at a port of the node', async () => {
    await cluster.kubectl(['-n', 'web', 'patch', 'service', 'web', '-p', '{"spec":{"type":"NodePort"}}'])
    const port = await cluster.kubectl('-n web get service web -o jsonpath={.spec.ports[0].nodePort}')
    const ask = (address: string) =>
      cluster.inNetwork(['timeout', '5', 'busybox', 'wget', '-qO-', `http://${address}/`])
    await waitFor('the node port', async () => /It works/.test(await ask(`192.0.2.10:${port}`).catch(() => '')))
    const ip = (await cluster.kubectl('-n web get service web -o jsonpath={.spec.clusterIP}')).trim()
    assert.match(await ask(ip), /It works/, 'from the host, through the address of the Service')
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
    assert.equal(await cluster.kubectl(`-n web logs ${pod} --since=1h`), `Hello from ${pod}\n`)
    assert.equal(await cluster.kubectl(`-n web logs ${pod} --since-time=2999-01-01T00:00:00Z`), '')
    const all = await cluster.kubectl('-n web logs -l batch.kubernetes.io/job-name=hello --prefix')
    assert.equal(all.match(/^\[pod\/hello-\w+\/hello\] Hello from hello-\w+$/gm)?.length, 2)
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
    const name = await podName('app=web')
    const targets = BUNDLED_MINORS.flatMap((minor) => [
      { minor, target: `pod/${name} :8080` },
      { minor, target: 'service/web :80' },
    ])
    for (const { minor, target } of targets) {
      const forward = cluster.startKubectl(`-n web port-forward ${target}`, minor)
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

  it('waits, applies changes as client and server, and shows what would change', async () => {
    const manifest = await readFile(join(ROOT, 'examples/web.yaml'), 'utf8')
    const changed = manifest
      .replace('<h1>It works</h1>', '<h1>It still works</h1>')
      .replace('replicas: 2', 'replicas: 3')
    const same = await cluster.tryKubectl('diff -f -', { input: manifest })
    assert.match(same.stdout, /-\s+replicas: 2\n\+\s+replicas: 3/, 'the scaling before')
    const diff = await cluster.tryKubectl('diff -f -', { input: changed })
    assert.equal(diff.code, 1)
    assert.match(diff.stdout, /\+\s+<h1>It still works<\/h1>/)
    const applied = await cluster.kubectl('apply -f -', { input: changed })
    assert.match(applied, /configmap\/pages configured/)
    assert.match(applied, /statefulset\.apps\/store configured/)
    assert.match(applied, /service\/web unchanged/)
    await cluster.kubectl('-n web wait --for=jsonpath={.status.readyReplicas}=3 statefulset/store --timeout=60s')
    const forced = await cluster.kubectl('apply --server-side --force-conflicts -f -', { input: changed })
    assert.match(forced, /deployment\.apps\/web serverside-applied/)
    const managers = await cluster.kubectl('-n web get deployment web --show-managed-fields -o yaml')
    assert.match(managers, /manager: kubectl\n\s+operation: Apply/)
  })

  it('starts and ends stateful pods in order', async () => {
    await cluster.kubectl('-n web rollout status statefulset/store --timeout=60s')
    const created = async (name: string): Promise<string> =>
      cluster.kubectl(`-n web get pod ${name} -o jsonpath={.metadata.creationTimestamp}/{.status.startTime}`)
    const readyAt = (name: string): Promise<string> =>
      cluster.kubectl([
        '-n',
        'web',
        'get',
        'pod',
        name,
        '-o',
        'jsonpath={.status.conditions[?(@.type=="Ready")].lastTransitionTime}',
      ])
    assert.ok((await readyAt('store-0')) <= (await created('store-1')).split('/')[0]!)
    await cluster.kubectl('-n web scale statefulset/store --replicas=1')
    await cluster.kubectl('-n web wait --for=delete pod/store-2 pod/store-1 --timeout=60s')
    assert.match(await cluster.kubectl('-n web get pods -l app=store'), /^store-0\s+1\/1\s+Running/m)
  })

  it('attaches to a running container', async () => {
    const script = 'while read line; do echo "heard $line"; done'
    await cluster.apply(
      pod('listener', { command: shell(script), stdin: true, stdinOnce: true }, { restartPolicy: 'Never' }),
    )
    await cluster.kubectl('wait --for=condition=Ready pod/listener --timeout=30s')
    assert.equal(await cluster.kubectl('attach -i -q listener', { input: 'one\ntwo\n' }), 'heard one\nheard two\n')
    await cluster.kubectl('wait --for=jsonpath={.status.phase}=Succeeded pod/listener --timeout=30s')
  })

  it('describes what there is', async () => {
    const described = await cluster.kubectl('-n web describe deployment,service,statefulset,daemonset,cronjob,job')
    for (const text of [
      /Replicas:\s+\d desired/,
      /Endpoints:\s+10\.244\.0\.\d+:8080/,
      /Schedule:\s+\* \* \* \* \*/,
      /Completed .*Job completed/,
    ]) {
      assert.match(described, text)
    }
    const described0 = await cluster.kubectl(`-n web describe pod ${await podName('app=web')}`)
    assert.match(
      described0,
      /Readiness:\s+http-get http:\/\/:http\/ delay=0s timeout=1s period=2s #success=1 #failure=3/,
    )
    assert.match(described0, /Started\s+\S+\s+kubelet\s.*Container started/)
    assert.match(await cluster.kubectl('explain pod.spec.containers.image'), /FIELD: image <string>\n[^]*DESCRIPTION:/)
    assert.match(await cluster.kubectl('api-resources --api-group=apps'), /statefulsets\s+sts\s+apps\/v1/)
    assert.match(await cluster.kubectl('auth can-i create pods'), /yes/)
    const asWeb = await cluster.tryKubectl('auth can-i create pods --as=system:serviceaccount:web:web')
    assert.match(asWeb.stdout, /no/)
  })

  it('fires a CronJob on the minute', async () => {
    await cluster.eventually('-n web get jobs', (text) => /tick-\d+\s+Complete/.test(text), 90_000)
    const job = await cluster.kubectl('-n web get jobs -o name')
    const name = /tick-\d+/.exec(job)![0]
    assert.match(await cluster.kubectl(`-n web logs job/${name}`), /UTC 20\d\d/)
    assert.match(await cluster.kubectl('-n web get cronjob tick'), /tick\s+\* \* \* \* \*\s+<none>\s+False/)
  })

  it('deletes a namespace with everything in it', async () => {
    await cluster.kubectl('delete namespace web --timeout=90s')
    const left = await cluster.tryKubectl('get namespace web')
    assert.match(left.stderr, /NotFound/)
    await cluster.eventually('get pods -A', (text) => !/\bweb\b/.test(text))
  })
})
