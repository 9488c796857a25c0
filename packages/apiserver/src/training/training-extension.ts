import { behaviorOf } from '@centaurus/api'
import { ownDefinitions } from '../crd/custom-definition.ts'
import type { CreateExtension } from '../extension.ts'
import { trainingJobDefinition, trainingReportDefinition } from './definitions.ts'

/** Serves TrainingJobs and TrainingReports of `centaurus.io/v1`. */
export function createTrainingExtension(): CreateExtension {
  return ({ registry }) => {
    const added = [trainingJobDefinition, trainingReportDefinition].flatMap(ownDefinitions).map((definition) => {
      const { group, kind } = definition.info
      return { ...definition, behavior: { ...definition.behavior, ...behaviorOf(group, kind) } }
    })
    registry.change({ added })
    return {}
  }
}
