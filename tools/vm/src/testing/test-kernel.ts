import { type Kernel, prepareKernel } from '../kernel.ts'
import { MissingError } from '../missing-error.ts'
import { requirePrograms } from '../programs.ts'

/** What tests with a guest run on, or why there is nothing: then they skip. */
export type TestKernel =
  | { readonly kernel: Kernel; readonly why: '' }
  | { readonly kernel: undefined; readonly why: string }

export async function openTestKernel(series = '6.12'): Promise<TestKernel> {
  try {
    requirePrograms()
    return { kernel: await prepareKernel(series, () => undefined), why: '' }
  } catch (error) {
    if (!(error instanceof MissingError)) throw error
    return { kernel: undefined, why: error.message }
  }
}
