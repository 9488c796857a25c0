/** Our scheduler alone: `node scheduler-process.ts KUBECONFIG`. Ends by a signal. */
import { silentLogger, systemClock, systemRandom } from '@centaurus/base'
import { createInformerFactory } from '@centaurus/client'
import { createHttpClient, loadKubeconfig } from '@centaurus/client/http'
import { startScheduler } from '@centaurus/scheduler'

const { config } = await loadKubeconfig(process.argv[2])
const client = createHttpClient(config)
const deps = { clock: systemClock, random: systemRandom, logger: silentLogger }
startScheduler({ client, informers: createInformerFactory(client, deps), ...deps })
