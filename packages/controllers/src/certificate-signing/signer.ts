/** What a request asks for. */
export interface RequestedIdentity {
  readonly commonName: string
  readonly organizations: readonly string[]
  readonly dnsNames: readonly string[]
  readonly ipAddresses: readonly string[]
  readonly emailAddresses: readonly string[]
  readonly uris: readonly string[]
}

export interface SigningRequest {
  /** PEM, `CERTIFICATE REQUEST`. */
  readonly request: string
  readonly signerName: string
  readonly usages: readonly string[]
  readonly expirationSeconds?: number | undefined
}

export type SigningResult =
  | { readonly type: 'signed'; readonly certificatePem: string }
  /** The request breaks a rule of its signer. */
  | { readonly type: 'refused'; readonly message: string }
  /** Not one of the cluster's own signers. */
  | { readonly type: 'unknownSigner' }

/** The cluster's certificate authority, as far as these controllers need it. The key stays with whoever passes it in. */
export interface CertificateSigner {
  /** Reads a PEM request. Throws `SyntaxError` when it is none. */
  parse(requestPem: string): Promise<RequestedIdentity>
  sign(asked: SigningRequest): Promise<SigningResult>
}
