import type {
  Device as DeviceV1,
  DeviceRequest as RequestV1,
  ResourceClaim,
  ResourceClaimSpec,
  ResourceClaimTemplate,
  ResourceSlice,
} from '../generated/types/resource/v1.ts'
import type { Device as DeviceV1beta1, DeviceRequest as RequestV1beta1 } from '../generated/types/resource/v1beta1.ts'
import type { KubeObject } from '../kinds/behavior.ts'

/** Fields that `v1beta1` has on the request itself, and the later versions under `exactly`. */
const EXACT_FIELDS = [
  'deviceClassName',
  'selectors',
  'allocationMode',
  'count',
  'adminAccess',
  'tolerations',
  'capacity',
  'derivedAttributes',
] as const

type Change = 'flatten' | 'nest'

/**
 * A claim, template or slice between `v1beta1` and the later versions, which share one shape. Other kinds stay as they are.
 * Source: pkg/apis/resource/v1beta1/conversion.go v1.37.
 */
export function convertDevices(object: Readonly<KubeObject>, change: Change): KubeObject {
  switch (object.kind) {
    case 'ResourceClaim':
      return convertClaimObject(object, change)
    case 'ResourceClaimTemplate':
      return convertTemplate(object, change)
    case 'ResourceSlice':
      return convertSlice(object as ResourceSlice, change)
    default:
      return object
  }
}

function convertClaimObject(claim: ResourceClaim, change: Change): ResourceClaim {
  return claim.spec === undefined ? claim : { ...claim, spec: convertClaim(claim.spec, change) }
}

function convertTemplate(template: ResourceClaimTemplate, change: Change): ResourceClaimTemplate {
  const spec = template.spec?.spec
  return spec === undefined ? template : { ...template, spec: { ...template.spec, spec: convertClaim(spec, change) } }
}

function convertSlice(slice: ResourceSlice, change: Change): ResourceSlice {
  const devices = slice.spec?.devices
  if (devices === undefined) return slice
  const converted = devices.map((device) => (change === 'flatten' ? nestDevice(device) : flattenDevice(device)))
  return { ...slice, spec: { ...slice.spec, devices: converted } }
}

function convertClaim(spec: ResourceClaimSpec, change: Change): ResourceClaimSpec {
  const requests = spec.devices?.requests
  if (requests === undefined) return spec
  const converted = requests.map((request) =>
    change === 'flatten' ? flattenRequest(request) : nestRequest(request as RequestV1beta1),
  )
  return { ...spec, devices: { ...spec.devices, requests: converted } }
}

function flattenRequest({ exactly, ...others }: RequestV1): RequestV1beta1 {
  return { ...others, ...exactly }
}

function nestRequest(request: RequestV1beta1): RequestV1 {
  const nested: Record<string, unknown> = {}
  const exactly: Record<string, unknown> = {}
  for (const [name, value] of Object.entries(request)) {
    const isExact = (EXACT_FIELDS as readonly string[]).includes(name)
    if (isExact) exactly[name] = value
    else nested[name] = value
  }
  if (Object.keys(exactly).length > 0) nested['exactly'] = exactly
  return nested as unknown as RequestV1
}

function nestDevice({ name, ...basic }: DeviceV1): DeviceV1beta1 {
  return { name, basic }
}

function flattenDevice({ name, basic }: DeviceV1beta1): DeviceV1 {
  return { name, ...basic }
}
