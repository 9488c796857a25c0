import { setProcess, type Field } from './field.ts'

const ALL_CAPABILITIES = ['CAP_CHOWN', 'CAP_KILL', 'CAP_NET_RAW', 'CAP_SETUID', 'CAP_SYS_ADMIN']

const script = 'grep -E "^Cap" /proc/self/status; sh -c "grep -E ^Cap /proc/self/status"'
const sets = (bounding: string[], rest: string[], more: object = {}) => ({
  bounding,
  effective: rest,
  permitted: rest,
  ...more,
})

/** What becomes of `process.capabilities`. */
export const CAPABILITY_FIELDS: readonly Field[] = [
  {
    name: 'process.capabilities',
    change: setProcess({ capabilities: sets(ALL_CAPABILITIES, ['CAP_KILL']) }),
    script,
  },
  { name: 'process.capabilities: none', change: setProcess({ capabilities: {} }), script },
  { name: 'process.capabilities: unset', change: (config) => void delete config.process['capabilities'], script },
  {
    name: 'process.capabilities: of a user',
    change: setProcess({ user: { uid: 5, gid: 5 }, capabilities: sets(ALL_CAPABILITIES, ALL_CAPABILITIES) }),
    script,
  },
  {
    name: 'process.capabilities: inheritable',
    change: setProcess({
      user: { uid: 5, gid: 5 },
      capabilities: sets(ALL_CAPABILITIES, ALL_CAPABILITIES, { inheritable: ALL_CAPABILITIES }),
    }),
    script,
  },
  {
    name: 'process.capabilities: ambient',
    change: setProcess({
      user: { uid: 5, gid: 5 },
      capabilities: sets(ALL_CAPABILITIES, ALL_CAPABILITIES, {
        inheritable: ALL_CAPABILITIES,
        ambient: ['CAP_KILL', 'CAP_NET_RAW'],
      }),
    }),
    script,
  },
  {
    name: 'process.capabilities: unknown',
    change: setProcess({ capabilities: sets(['CAP_KILL', 'CAP_FLY'], ['CAP_KILL']) }),
    script,
    differs: {
      prints: /has "CAP_FLY", which is no capability and is left out\nCapInh/,
      because: 'the words are our own',
    },
  },
]
