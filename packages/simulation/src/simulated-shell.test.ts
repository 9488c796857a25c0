import assert from 'node:assert/strict'
import { describe, it } from 'node:test'

import { runSimulatedCommand, type CommandResult } from './simulated-shell.ts'

function run(command: readonly string[], stdin = ''): CommandResult {
  const environment = new Map([
    ['COLOR', 'red'],
    ['HOSTNAME', 'web'],
  ])
  return runSimulatedCommand(command, { environment, hostname: 'web', stdin })
}

function sh(script: string): string {
  const { stdout, exitCode } = run(['/bin/sh', '-c', script])
  return `${stdout}${exitCode}`
}

describe('the shell of a simulated container', () => {
  it('knows a few commands', () => {
    assert.deepEqual(run(['echo', 'a', 'b']), { stdout: 'a b\n', stderr: '', exitCode: 0 })
    assert.equal(run(['env']).stdout, 'COLOR=red\nHOSTNAME=web\n')
    assert.equal(run(['printenv', 'COLOR']).stdout, 'red\n')
    assert.equal(run(['printenv', 'NONE']).exitCode, 1)
    assert.equal(run(['cat'], 'typed').stdout, 'typed')
    assert.equal(run(['hostname']).stdout, 'web\n')
  })

  it('runs scripts of simple commands', () => {
    assert.equal(sh('echo -n $COLOR-${COLOR} "x $COLOR" \'$COLOR\''), 'red-red x red $COLOR0')
    assert.equal(sh('false && echo no || echo yes; exit 3; echo never'), 'yes\n3')
    assert.equal(sh('X=1\necho $X $?'), '1 0\n0')
    assert.equal(run(['bash'], 'echo hi\nexit 4\n').exitCode, 4)
  })

  it('says what it cannot do', () => {
    assert.deepEqual(
      [run(['nginx', '-t']).exitCode, run(['toString']).exitCode, run(['tar', 'cf', '-', '/x']).exitCode],
      [127, 127, 1],
    )
    assert.match(run(['nginx']).stderr, /simulated/)
  })
})
