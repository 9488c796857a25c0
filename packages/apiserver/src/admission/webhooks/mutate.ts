import { applyJsonPatch, deepEqual, internalError, parseJsonPatch, StatusError, type KubeObject } from '@centaurus/api'
import type { Attributes, ServedVersion } from '../matching/attributes.ts'
import { fromServed } from '../matching/from-served.ts'
import { noteChange, type Rounds } from '../matching/rounds.ts'
import { ask, requestTimeout, wantsToSee, type Asked, type AskDeps } from './ask.ts'
import type { CompiledWebhook } from './compile.ts'
import { CallError, deniedBy } from './refusals.ts'

/**
 * Asks the webhooks one after the other; each sees what those before it made. Returns whether the object is another one now.
 * Source: apiserver pkg/admission/plugin/webhook/mutating/dispatcher.go, v0.37.
 */
export async function askMutating(
  deps: AskDeps,
  asked: Asked,
  { webhooks, rounds }: { readonly webhooks: readonly CompiledWebhook[]; readonly rounds: Rounds },
): Promise<boolean> {
  let isChanged = false
  for (const webhook of webhooks) {
    const version = asked.compute(() => wantsToSee(deps, webhook, asked.attributes))
    if (version === undefined || (rounds.isSecond && !rounds.again.has(webhook.id))) continue
    if (await askOne(deps, asked, { webhook, version })) {
      isChanged = true
      noteChange(rounds)
    }
    if (webhook.reinvocationPolicy === 'IfNeeded') rounds.previous.add(webhook.id)
  }
  return isChanged
}

async function askOne(
  deps: AskDeps,
  asked: Asked,
  { webhook, version }: { readonly webhook: CompiledWebhook; readonly version: ServedVersion },
): Promise<boolean> {
  try {
    const { allowed, patch, result } = await ask(deps, asked, { webhook, version, mutating: true })
    if (!allowed) throw deniedBy(webhook.name, result)
    return patch !== '' && asked.compute(() => applyPatch(asked.attributes, { webhook, version, patch }))
  } catch (error) {
    if (!(error instanceof CallError)) throw error
    if (webhook.failurePolicy !== 'Ignore') throw error.toStatus()
    if (asked.msLeft() <= 0) throw requestTimeout()
    return false
  }
}

function applyPatch(
  attributes: Attributes,
  { webhook, version, patch }: { webhook: CompiledWebhook; version: ServedVersion; patch: string },
): boolean {
  const operations = readPatch(webhook, patch)
  if (operations.length === 0) return false
  const before = attributes.objectIn(version)
  if (before === undefined) {
    const name = JSON.stringify(webhook.name)
    const text = `admission webhook ${name} attempted to modify the object, which is not supported for this operation`
    throw internalError(new Error(text))
  }
  let patched: KubeObject
  try {
    patched = fromServed(attributes, version, applyJsonPatch(before, operations), 'Ignore')
  } catch (error) {
    throw internalError(error instanceof StatusError ? new Error(error.message) : error)
  }
  if (deepEqual(patched, attributes.object)) return false
  attributes.replaceObject(patched)
  return true
}

function readPatch(webhook: CompiledWebhook, patch: string): ReturnType<typeof parseJsonPatch> {
  try {
    return parseJsonPatch(JSON.parse(patch))
  } catch (error) {
    throw new CallError(
      webhook.name,
      `received undecodable patch in webhook response: ${error instanceof Error ? error.message : String(error)}`,
    )
  }
}
