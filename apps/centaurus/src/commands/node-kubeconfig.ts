import { randomInt } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { ALL_TENANTS, type Stored } from '@centaurus/api'
import { partitions, type Partition } from '@centaurus/api/centaurus/v1'
import { secrets } from '@centaurus/api/core/v1'
import { createKubeconfig, type CertificateAndKey } from '@centaurus/apiserver'
import { issueCertificate, type CertificateIdentity } from '@centaurus/apiserver/certificates'
import { systemClock } from '@centaurus/base'
import type { Client } from '@centaurus/client'
import { asUnreachable, connectToPartition, withAdmin } from '../cluster-access.ts'
import type { Home } from '../home.ts'
import { readSettings } from '../settings.ts'
import { UserError } from '../user-error.ts'

/** What a node's name must be. Source: validateNodeName, a DNS subdomain. */
const NODE_NAME = /^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$/
const NODE_NAME_LENGTH_MAX = 253
const TOKEN_ALPHABET = 'abcdefghijklmnopqrstuvwxyz0123456789'
const TOKEN_ID_LENGTH = 6
const TOKEN_SECRET_LENGTH = 16
/** Lets a machine ask for the certificate of a node. Source: kubeadm's NodeBootstrapTokenAuthGroup. */
const NODE_TOKEN_GROUP = 'system:bootstrappers:kubeadm:default-node-token'

export interface NodeKubeconfigOptions {
  /** Default: this machine's when it is one for nodes, else the only one there is. */
  readonly partition?: string | undefined
  /** Default: an address of the partition. */
  readonly server?: string | undefined
}

/**
 * Prints the kubeconfig with which a kubelet works as the node `name`: a client certificate for one year, of the cluster's authority, whose key must
 * be in `home`. Throws {@link UserError}.
 */
export async function printNodeKubeconfig(home: Home, name: string, options: NodeKubeconfigOptions): Promise<void> {
  if (!NODE_NAME.test(name) || name.length > NODE_NAME_LENGTH_MAX) {
    throw new UserError(
      `Cannot name a node "${name}": it must hold lower case letters, digits, "-" and "." alone, as the host names of machines do`,
    )
  }
  const server = await findServer(home, options)
  await printCertified(home, server, { commonName: `system:node:${name}`, organizations: ['system:nodes'] })
}

/**
 * Prints the kubeconfig of kube-proxy, one for all nodes of the partition: its Services are those of all tenants, in the view over them. Otherwise as
 * {@link printNodeKubeconfig}.
 */
export async function printProxyKubeconfig(home: Home, options: NodeKubeconfigOptions): Promise<void> {
  const server = await findServer(home, options)
  await printCertified(home, `${server}/tenants/${ALL_TENANTS}`, { commonName: 'system:kube-proxy' })
}

async function printCertified(home: Home, server: string, identity: CertificateIdentity): Promise<void> {
  const authority: CertificateAndKey = { certificatePem: readPki(home, 'ca.crt'), keyPem: readPki(home, 'ca.key') }
  const { certificatePem, keyPem } = await issueCertificate(authority, systemClock, {
    ...identity,
    usages: ['client auth'],
  })
  const ca = authority.certificatePem
  const user = identity.commonName
  process.stdout.write(createKubeconfig({ server, ca, cert: certificatePem, key: keyPem, user }))
}

export interface BootstrapKubeconfigOptions extends NodeKubeconfigOptions {
  readonly ttlSeconds: number
}

/**
 * Prints a kubeconfig with a new bootstrap token, by which any number of kubelets ask for certificates of their own until it expires.
 * Throws {@link UserError}.
 */
export async function printBootstrapKubeconfig(home: Home, options: BootstrapKubeconfigOptions): Promise<void> {
  const id = randomText(TOKEN_ID_LENGTH)
  const password = randomText(TOKEN_SECRET_LENGTH)
  const server = await withAdmin(home, async (client) => {
    const partition = await choosePartition(home, client, options)
    await createToken(home, partition, { id, password, ttlSeconds: options.ttlSeconds })
    return serverOf(partition, options)
  })
  process.stdout.write(
    createKubeconfig({ server, ca: readPki(home, 'ca.crt'), token: `${id}.${password}`, user: 'kubelet-bootstrap' }),
  )
}

interface NewToken {
  readonly id: string
  readonly password: string
  readonly ttlSeconds: number
}

/** In the form of kubeadm's: `kubeadm token list` shows it. */
async function createToken(home: Home, partition: Partition, token: NewToken): Promise<void> {
  const client = await connectToPartition(home, partition)
  try {
    await client.create(secrets, {
      apiVersion: 'v1',
      kind: 'Secret',
      metadata: { name: `bootstrap-token-${token.id}`, namespace: 'kube-system' },
      type: 'bootstrap.kubernetes.io/token',
      stringData: {
        'token-id': token.id,
        'token-secret': token.password,
        expiration: new Date(Date.now() + token.ttlSeconds * 1000).toISOString().replace(/\.\d+Z$/, 'Z'),
        'usage-bootstrap-authentication': 'true',
        'auth-extra-groups': NODE_TOKEN_GROUP,
      },
    })
  } catch (error) {
    throw asUnreachable(error, `partition ${partition.metadata.name}`)
  } finally {
    await client.close()
  }
}

/** The resource partition that the node is to belong to. Throws {@link UserError}. */
async function choosePartition(
  home: Home,
  client: Client,
  { partition }: NodeKubeconfigOptions,
): Promise<Stored<Partition>> {
  const { items } = await client.list(partitions)
  const able = items.filter(({ spec }) => spec.roles.includes('Resource'))
  const names = able.map(({ metadata }) => metadata.name).join(', ')
  const here = readSettings(home)?.partition?.name
  const wanted = partition ?? able.find(({ metadata }) => metadata.name === here)?.metadata.name
  if (wanted === undefined) {
    if (able.length === 1) return able[0]!
    throw new UserError(
      able.length === 0
        ? 'No partition has nodes. Add one: ./centaurus partition add rp1 --roles resource'
        : `Name the partition that the node is to belong to: --partition with one of ${names}`,
    )
  }
  const found = able.find(({ metadata }) => metadata.name === wanted)
  if (found !== undefined) return found
  throw new UserError(`There is no partition "${wanted}" for nodes. There are: ${names}`)
}

function findServer(home: Home, options: NodeKubeconfigOptions): Promise<string> {
  return withAdmin(home, async (client) => serverOf(await choosePartition(home, client, options), options))
}

function serverOf({ metadata, spec }: Partition, { server }: NodeKubeconfigOptions): string {
  const [endpoint] = spec.endpoints
  if (server !== undefined) return server.replace(/\/$/, '')
  if (endpoint === undefined) throw new UserError(`Partition ${metadata.name} has no address yet`)
  return endpoint
}

function readPki(home: Home, file: string): string {
  try {
    return readFileSync(join(home.pkiDir, file), 'utf8')
  } catch (cause) {
    throw new UserError(`Cannot make a kubeconfig: the cluster's authority must be in ${home.pkiDir}`, { cause })
  }
}

function randomText(length: number): string {
  return Array.from({ length }, () => TOKEN_ALPHABET[randomInt(TOKEN_ALPHABET.length)]).join('')
}
