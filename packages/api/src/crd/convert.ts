import type { CustomResourceConversion } from '../generated/types/apiextensions/v1.ts'
import { StatusError } from '../status/status-error.ts'

/**
 * A custom resource in another version of its group. With strategy None only `apiVersion` changes; the result shares the rest.
 * Throws Invalid for strategy Webhook, which this server does not do yet.
 */
export function convertCustomResource<T extends { apiVersion?: string | undefined }>(
  object: Readonly<T>,
  apiVersion: string,
  options: { readonly conversion?: Readonly<CustomResourceConversion> | undefined } = {},
): T {
  if (object.apiVersion === apiVersion) return object as T
  if ((options.conversion?.strategy ?? 'None') === 'None') return { ...object, apiVersion }
  const message = `conversion of custom resources from ${object.apiVersion} to ${apiVersion} by webhook is not supported: use strategy None`
  throw new StatusError({ reason: 'Invalid', message, details: {} })
}
