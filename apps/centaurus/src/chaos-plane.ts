import { createApiServer, openClusterCertificates, createTokenSigner, type ApiServer } from '@centaurus/apiserver'
import { createInformerFactory } from '@centaurus/client'
import { startControllers } from '@centaurus/controllers'
import { startScheduler } from '@centaurus/scheduler'
import type { PlaneOptions, PlanePart, StartPlane } from '@centaurus/simulation/chaos'
import { createExtensions } from './control-plane/extensions.ts'
import { componentUser, controllerInputs } from './control-plane/parts.ts'

/** Nobody connects: everything happens in this process. */
const ADDRESS = { port: 6443, advertiseAddress: '127.0.0.1' }

/** Makes what starts a control plane for a run of chaos: the real one, without a port. Certificates are made once. */
export async function prepareChaosPlane(): Promise<StartPlane> {
  const certificates = await openClusterCertificates()
  const signer = createTokenSigner({ keyPem: certificates.serviceAccountKeyPem })
  const extensions = await createExtensions({ ...ADDRESS, certificates }, signer)
  return async (options) => {
    const { store, clock, random, logger } = options
    const admission = { advertiseAddress: ADDRESS.advertiseAddress, advertisePort: ADDRESS.port }
    const server = createApiServer({ store, clock, random, logger, extensions, admission })
    await server.start()
    return startPlaneParts(server, options, controllerInputs(server, { certificates, clock }, signer))
  }
}

function startPlaneParts(
  server: ApiServer,
  { clock, random, logger, connect }: PlaneOptions,
  inputs: ReturnType<typeof controllerInputs>,
): Awaited<ReturnType<StartPlane>> {
  const clients = {
    informers: connect(server.client(), 'informers'),
    controllers: connect(server.client(componentUser('kube-controller-manager')), 'controllers'),
    scheduler: connect(server.client(componentUser('kube-scheduler')), 'scheduler'),
  }
  /** Each part has informers of its own, so that it can start without a past. */
  const start = (part: PlanePart): { close(): Promise<void> } => {
    const informers = createInformerFactory(clients.informers, { clock, random, logger })
    const deps = { informers, clock, random, logger, client: clients[part] }
    const running = part === 'scheduler' ? startScheduler(deps) : startControllers({ ...deps, ...inputs })
    return {
      async close() {
        await running.close()
        await informers.close()
      },
    }
  }
  const running = { controllers: start('controllers'), scheduler: start('scheduler') }
  return {
    client: server.client(),
    async restart(part) {
      await running[part].close()
      running[part] = start(part)
    },
    async close() {
      await Promise.all([running.controllers.close(), running.scheduler.close()])
      await server.close()
    },
  }
}
