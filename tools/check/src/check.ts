import { checkSandbox } from './sandbox.ts'
import { findTests, runStep, summarize, type Step, type StepResult } from './steps.ts'

// `npm run check`: everything that needs neither root nor containers. `npm test` (with --all) adds the tests that do.
// Names after the flags run only those steps.

const STATIC: readonly Step[] = [
  { name: 'format', command: ['oxfmt', '--check', 'packages', 'apps', 'tools', 'bench', 'conformance', 'examples'] },
  {
    name: 'lint',
    command: [
      'oxlint',
      '--type-aware',
      '--deny-warnings',
      'packages',
      'apps',
      'tools',
      'bench',
      'conformance',
      'examples',
    ],
  },
  { name: 'types', command: ['tsc', '-p', '.'] },
  { name: 'unused', command: ['knip', '--no-progress'] },
]

function steps(all: boolean): Step[] {
  const unit: Step = { name: 'unit', command: [], tests: findTests('unit'), sharedProcess: true }
  const list = [...STATIC, unit]
  if (!all) return list
  return [
    ...list,
    { name: 'sandbox', command: [], count: checkSandbox },
    { name: 'root', command: [], tests: findTests('root') },
    { name: 'other kernels', command: [], tests: findTests('vm') },
    { name: 'end to end', command: [], tests: findTests('e2e') },
  ]
}

async function main(args: readonly string[]): Promise<void> {
  const all = args.includes('--all')
  const wanted = args.filter((arg) => !arg.startsWith('-'))
  const known = steps(true).map((step) => step.name)
  const unknown = wanted.find((name) => !known.includes(name))
  if (unknown !== undefined) {
    process.stderr.write(`No step is named "${unknown}"; there are: ${known.join(', ')}\n`)
    process.exit(2)
  }
  const selected = steps(all || wanted.length > 0).filter((step) => wanted.length === 0 || wanted.includes(step.name))
  const results: StepResult[] = []
  for (const step of selected) results.push(await runStep(step))
  const { text, failed } = summarize(results)
  process.stdout.write(text)
  process.exitCode = failed ? 1 : 0
}

await main(process.argv.slice(2))
