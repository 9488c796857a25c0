import { PRESET_TIMER } from 'listr2'

/** How all commands show their steps: each with its time; plain lines when the output is no terminal. */
export const LISTR_OPTIONS = {
  exitOnError: true,
  rendererOptions: { timer: { ...PRESET_TIMER, condition: true }, collapseSubtasks: false },
  fallbackRenderer: 'simple',
  fallbackRendererOptions: { timer: { ...PRESET_TIMER, condition: true } },
} as const
