/** Replaces `$(NAME)` by `lookup(NAME)`; `$$` stands for `$`; what is unknown stays. Source: kubernetes third_party/forked/golang/expansion. */
export function expandReferences(text: string, lookup: (name: string) => string | undefined): string {
  return text.replace(/\$\$|\$\(([^()]*)\)/g, (match, name: string | undefined) => {
    if (name === undefined) return '$'
    return lookup(name) ?? match
  })
}
