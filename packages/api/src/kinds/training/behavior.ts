import type { TrainingJob } from '../../centaurus/training.ts'
import type { PodTemplateSpec } from '../../generated/types/core/v1.ts'
import {
  FieldPath,
  forbiddenField,
  invalid,
  notSupported,
  required,
  type FieldError,
} from '../../status/field-error.ts'
import type { KindBehavior } from '../behavior.ts'
import { deepEqual } from '../../meta/values.ts'
import { defaultPodTemplate } from '../pod/default-spec.ts'
import { validatePodTemplateSpec } from '../pod/validate-spec.ts'

const spec = new FieldPath('spec')
/** Workers are `NAME-worker-INDEX`, which is a host name. */
const NAME_LENGTH_MAX = 63 - '-worker-9999'.length
const RESTART_POLICIES = ['Never', 'OnFailure']

export const trainingJobBehavior: KindBehavior<TrainingJob> = {
  setDefaults({ spec: own }) {
    own.framework ??= 'Plain'
    own.suspend ??= false
    own.resizable ??= true
    own.batch ??= 'Constant'
    for (const template of templatesOf(own)) {
      if (template.spec === undefined) continue
      template.spec.restartPolicy ??= 'Never'
      defaultPodTemplate(template)
    }
  },
  validate({ metadata, spec: own }) {
    const { framework, workers, launcher, checkpoint } = own
    const errors: FieldError[] = []
    const name = metadata.name ?? ''
    if (name.length > NAME_LENGTH_MAX || name.includes('.')) {
      const rule = `must be at most ${NAME_LENGTH_MAX} characters without dots, as host names of its workers begin with it`
      errors.push(invalid(new FieldPath('metadata').child('name'), name, rule))
    }
    if (workers.max < workers.min)
      errors.push(invalid(spec.child('workers', 'max'), workers.max, 'must be greater than or equal to `workers.min`'))
    const needsLauncher = framework === 'Horovod' || framework === 'MPI'
    if (needsLauncher && launcher === undefined)
      errors.push(required(spec.child('launcher'), `with framework ${framework}, whose launcher starts the workers`))
    if (!needsLauncher && launcher !== undefined)
      errors.push(forbiddenField(spec.child('launcher'), 'may only be set with framework Horovod or MPI'))
    if (checkpoint?.command?.length === 0)
      errors.push(invalid(spec.child('checkpoint', 'command'), [], 'must name a program'))
    errors.push(...validateTemplate(workers.template, spec.child('workers', 'template')))
    if (launcher !== undefined) errors.push(...validateTemplate(launcher.template, spec.child('launcher', 'template')))
    return errors
  },
  validateUpdate({ spec: own }, { spec: old, status }) {
    const errors: FieldError[] = []
    if (own.framework !== old.framework)
      errors.push(invalid(spec.child('framework'), own.framework, 'field is immutable'))
    // Workers of two templates would meet in one world.
    const isAtRest = old.suspend === true && (status?.phase ?? 'Suspended') === 'Suspended'
    const isEnded = status?.phase === 'Succeeded' || status?.phase === 'Failed'
    if (isAtRest || isEnded) return errors
    const rule = 'may only change while the job is suspended: set `spec.suspend` first'
    if (!deepEqual(own.workers.template, old.workers.template))
      errors.push(forbiddenField(spec.child('workers', 'template'), rule))
    if (!deepEqual(own.launcher, old.launcher)) errors.push(forbiddenField(spec.child('launcher'), rule))
    return errors
  },
}

function templatesOf({ workers, launcher }: TrainingJob['spec']): PodTemplateSpec[] {
  return [workers?.template, launcher?.template].filter((template) => template !== undefined)
}

function validateTemplate(template: Readonly<PodTemplateSpec>, path: FieldPath): FieldError[] {
  const policy = template.spec?.restartPolicy
  const errors = validatePodTemplateSpec(template, path)
  if (policy !== undefined && !RESTART_POLICIES.includes(policy))
    errors.push(notSupported(path.child('spec', 'restartPolicy'), policy, RESTART_POLICIES))
  return errors
}
