import type { MetricSpec, MetricStatus, MetricTarget, MetricValueStatus } from '../../generated/types/autoscaling/v2.ts'
import { tryQuantity } from '../shared/check.ts'

const SHOWN_MAX = 2
const UNKNOWN = '<unknown>'

/** Metrics as the table has them, such as `cpu: 12%/80%, 3/5 (avg)`. Source: formatHPAMetrics, pkg/printers/internalversion v1.37. */
export function formatMetrics(metrics: readonly MetricSpec[], statuses: readonly MetricStatus[]): string {
  if (metrics.length === 0) return '<none>'
  const texts = metrics.slice(0, SHOWN_MAX).map((metric, i) => formatMetric(metric, statuses[i]))
  const hidden = metrics.length - texts.length
  return hidden > 0 ? `${texts.join(', ')} + ${hidden} more...` : texts.join(', ')
}

function formatMetric(metric: MetricSpec, status: MetricStatus | undefined): string {
  switch (metric.type) {
    case 'External':
      return formatValue(metric.external?.target, status?.external?.current)
    case 'Object':
      return formatValue(metric.object?.target, status?.object?.current)
    case 'Pods': {
      const current = status?.pods?.current.averageValue
      return `${formatAmount(current)}/${formatAmount(metric.pods?.target.averageValue)}`
    }
    case 'Resource':
      return `${metric.resource?.name}: ${formatResource(metric.resource?.target, status?.resource?.current)}`
    case 'ContainerResource': {
      const { name, target } = metric.containerResource ?? {}
      return `${name}: ${formatResource(target, status?.containerResource?.current)}`
    }
    default:
      return '<unknown type>'
  }
}

function formatValue(target: MetricTarget | undefined, current: MetricValueStatus | undefined): string {
  if (target?.averageValue !== undefined) {
    return `${formatAmount(current?.averageValue)}/${formatAmount(target.averageValue)} (avg)`
  }
  return `${formatAmount(current?.value)}/${formatAmount(target?.value)}`
}

function formatResource(target: MetricTarget | undefined, current: MetricValueStatus | undefined): string {
  if (target?.averageValue !== undefined) {
    return `${formatAmount(current?.averageValue)}/${formatAmount(target.averageValue)}`
  }
  return `${formatPercent(current?.averageUtilization, UNKNOWN)}/${formatPercent(target?.averageUtilization, '<auto>')}`
}

function formatPercent(value: number | undefined, absent: string): string {
  return value === undefined ? absent : `${value}%`
}

function formatAmount(quantity: string | undefined): string {
  return tryQuantity(quantity)?.text ?? UNKNOWN
}
