import { spawn } from 'node:child_process'
import { bundledTool } from '../../../apps/centaurus/src/bundled-kubectl.ts'
import { prepareNamespace } from '../lib/paths.ts'
import type { Recorder } from '../lib/trace.ts'

const DEPLOYMENT = `
apiVersion: apps/v1
kind: Deployment
metadata: {name: web, labels: {app: web}}
spec:
  replicas: 2
  selector: {matchLabels: {app: web}}
  template:
    metadata: {labels: {app: web}}
    spec: {containers: [{name: web, image: "registry.example/web:1", ports: [{containerPort: 80}]}]}
`
const SERVICE = `
apiVersion: v1
kind: Service
metadata: {name: web}
spec: {selector: {app: web}, ports: [{port: 80}]}
`

/** What people type, and what they read. */
export async function kubectlBattery(recorder: Recorder): Promise<void> {
  const namespace = await prepareNamespace(recorder, 'ctl')
  const kubectl = async (args: string, input = ''): Promise<void> => {
    const output = await run(['--kubeconfig', recorder.connection.kubeconfig, '-n', namespace, ...split(args)], input)
    recorder.note(
      `kubectl ${args.replaceAll(recorder.run, 'RUN')}${input === '' ? '' : ` < ${recorder.run.length}${input.length}`}`,
      output.split('\n'),
    )
  }
  const both = `${DEPLOYMENT}---${SERVICE}`
  await kubectl('apply -f -', both)
  await kubectl('apply -f - ', both)
  await kubectl('diff -f -', both.replace('replicas: 2', 'replicas: 3'))
  await kubectl('apply -f -', both.replace('replicas: 2', 'replicas: 3'))
  await kubectl('apply --server-side -f -', both)
  await kubectl('apply --server-side --force-conflicts -f -', both)
  await kubectl('apply --validate=strict -f -', both.replace('replicas:', 'replikas:'))
  await kubectl('apply --dry-run=server -f -', both)
  await kubectl('create -f -', SERVICE.replace('web}', 'web-2}').replace('port: 80', 'port: 0'))
  for (const args of READS) await kubectl(args)
  for (const args of WRITES) await kubectl(args)
}

const READS = [
  'version',
  'api-versions',
  'api-resources',
  'api-resources -o wide --verbs=list',
  'get all',
  'get all -o wide',
  'get deploy,svc',
  'get deploy web -o yaml',
  'get svc web -o jsonpath={.spec.ports}',
  'get deploy --show-labels',
  'get deploy -o name',
  'get deploy -o custom-columns=N:.metadata.name,R:.spec.replicas',
  'get nothing',
  'get deploy none',
  'get pods',
  'get nodes',
  'get pods -A',
  'get ns default',
  'get ns default -o yaml',
  'describe deploy web',
  'describe svc web',
  'describe ns default',
  'describe svc kubernetes -n default',
  'explain deploy.spec',
  'explain pod.spec.containers.resources',
  'explain svc --recursive',
  'explain nothing',
  'explain cronjob.spec.jobTemplate',
  'auth can-i list pods',
  'auth can-i --list --as=nobody',
  'auth whoami',
  'get --raw /version',
  'get --raw /nothing',
  'logs none',
  'exec none -- ls',
  'get clusterroles view -o yaml',
  'get clusterroles',
  'get clusterrolebindings',
  'get priorityclasses',
  'get flowschemas',
  'get prioritylevelconfigurations',
  'get apiservices',
  'get servicecidrs',
  'get roles -A',
  'get rolebindings -A',
  'get storageclasses',
  'get leases -A -o name',
  'get ns',
  'get events',
  'get componentstatuses',
  'get cm -n kube-system',
  'cluster-info',
]

const WRITES = [
  'scale deploy web --replicas=5',
  'scale deploy web --replicas=5 --current-replicas=1',
  'set image deploy/web web=registry.example/web:2',
  'label deploy web a=b',
  'label deploy web a=c',
  'annotate deploy web a=b',
  'patch deploy web -p {"spec":{"paused":true}}',
  'patch deploy web --type=json -p [{"op":"replace","path":"/spec/replicas","value":1}]',
  'rollout history deploy/web',
  'rollout restart deploy/web',
  'autoscale deploy web --max=3',
  'get hpa',
  'describe hpa web',
  'create configmap c --from-literal=a=b',
  'create configmap c --from-literal=a=b',
  'describe cm c',
  'create secret generic s --from-literal=a=b',
  'describe secret s',
  'create sa robot',
  'create role r --verb=get --resource=pods',
  'create rolebinding rb --role=r --serviceaccount=x:robot',
  'describe rolebinding rb',
  'create quota q --hard=pods=5',
  'describe quota q',
  'create job j --image=x',
  'describe job j',
  'get job j',
  'create cronjob cj --image=x --schedule=* ',
  'run p --image=x',
  'describe pod p',
  'get pod p -o wide',
  'get pod p -o yaml',
  'set resources deploy web --limits=cpu=1',
  'expose deploy web --name=web-3 --port=80',
  'create ingress i --rule=a.b/c=web:80',
  'describe ingress i',
  'get ingress',
  'create pdb b --selector=a=b --min-available=1',
  'get pdb',
  'delete pod p --now',
  'delete deploy web --wait=false',
  'delete all --all --wait=false',
  'delete deploy none',
  'replace --raw /nothing -f /dev/null',
  'create ns Bad_Name',
  'create deployment Bad_Name --image=x',
  'create clusterrole x --verb=get --resource=nothing',
  'wait --for=delete deploy/web --timeout=1s',
]

function split(args: string): string[] {
  return args.split(' ').filter((word) => word !== '')
}

function run(args: readonly string[], input: string): Promise<string> {
  return new Promise((resolve) => {
    const child = spawn(bundledTool('kubectl'), args, { env: { ...process.env, HOME: '/tmp/differential-home' } })
    let output = ''
    child.stdout.on('data', (chunk: Buffer) => (output += chunk.toString()))
    child.stderr.on('data', (chunk: Buffer) => (output += chunk.toString()))
    child.on('close', (code) => resolve(`${output}code ${code}`))
    child.stdin.on('error', () => {})
    child.stdin.end(input)
  })
}
