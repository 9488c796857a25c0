/** Names of Debian's kernel packages. Only the generic ones: those for clouds have no 9p, those for real time schedule otherwise. */
const GENERIC = /^linux-image-(\d+\.\d+\.\d+(?:-\d+)?(?:\+deb\d+(?:\+\d+)?)?(?:~bpo\d+)?-amd64)$/

export function releaseOf(packageName: string): string {
  return packageName.replace('linux-image-', '')
}

export function packageNameOf(release: string): string {
  return `linux-image-${release}`
}

/** The newest generic kernel of a series like `6.12`, or of one release like `6.12.117`; undefined when none of the names is one. */
export function newestOf(packages: readonly string[], series: string): string | undefined {
  const isOfSeries = (release: string): boolean =>
    release.startsWith(series) && !/\d/.test(release.charAt(series.length))
  return packages
    .filter((name) => isOfSeries(GENERIC.exec(name)?.[1] ?? ''))
    .toSorted((a, b) => compareNumbers(numbersOf(a), numbersOf(b)))
    .at(-1)
}

function numbersOf(name: string): number[] {
  return (releaseOf(name).split('+')[0]!.match(/\d+/g) ?? []).map(Number)
}

function compareNumbers(a: readonly number[], b: readonly number[]): number {
  for (let i = 0; i < Math.max(a.length, b.length); i++) {
    const difference = (a[i] ?? 0) - (b[i] ?? 0)
    if (difference !== 0) return difference
  }
  return 0
}
