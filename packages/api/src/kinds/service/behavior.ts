import type { Service } from '../../generated/types/core/v1.ts'
import { checkDnsLabel } from '../../meta/names.ts'
import type { KindBehavior } from '../behavior.ts'
import { defaultService } from './defaults.ts'
import { prepareServiceForUpdate } from './prepare.ts'
import { serviceColumns, serviceRow } from './table.ts'
import { validateServiceUpdate } from './validate-cluster-ips.ts'
import { validateService, validateServiceStatusUpdate } from './validate.ts'
import { serviceWarnings } from './warnings.ts'

/** Services. Source: pkg/registry/core/service/strategy.go v1.37. */
export const serviceBehavior: KindBehavior<Service> = {
  warnings: serviceWarnings,
  nameRule: checkDnsLabel,
  hasGeneration: false,
  allowCreateOnUpdate: true,
  setDefaults: defaultService,
  prepareForUpdate: prepareServiceForUpdate,
  validate: validateService,
  validateUpdate: validateServiceUpdate,
  validateStatusUpdate: validateServiceStatusUpdate,
  selectableFields: ({ spec }) => ({ 'spec.clusterIP': spec?.clusterIP ?? '', 'spec.type': spec?.type ?? '' }),
  selectableFieldNames: ['spec.clusterIP', 'spec.type'],
  columns: serviceColumns,
  row: serviceRow,
}
