import type { Battery } from '../lib/trace.ts'
import { accessBattery } from './access.ts'
import { changesBattery } from './changes.ts'
import { customResourcesBattery } from './custom-resources.ts'
import { discoveryBattery } from './discovery.ts'
import { goldenBattery } from './golden.ts'
import { kubectlBattery } from './kubectl.ts'
import { lifecycleBattery } from './lifecycle.ts'
import { mutationsBattery } from './mutations.ts'
import { podsBattery } from './pods.ts'
import { requestsBattery } from './requests.ts'
import { watchBattery } from './watch.ts'

/** All batteries by name. `golden` is upstream's folder of golden objects; without it that battery is left out. */
export function batteries({ golden }: { golden?: string | undefined }): Record<string, Battery> {
  return {
    lifecycle: lifecycleBattery,
    requests: requestsBattery,
    access: accessBattery,
    discovery: discoveryBattery,
    watch: watchBattery,
    pods: podsBattery,
    customResources: customResourcesBattery,
    kubectl: kubectlBattery,
    changes: changesBattery,
    mutations: mutationsBattery,
    ...(golden === undefined ? {} : { golden: goldenBattery(golden) }),
  }
}
