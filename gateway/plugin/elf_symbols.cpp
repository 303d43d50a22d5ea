#include "plugin/elf_symbols.h"

#include <elf.h>

#include <cstring>
#include <optional>

namespace penstock::plugin {
namespace {

// A part of the file, or nothing when it reaches past the end.
std::optional<std::string_view> part(std::string_view bytes, uint64_t at, uint64_t size) {
  if (at > bytes.size() || size > bytes.size() - at) return std::nullopt;
  return bytes.substr(at, size);
}

template <class T>
std::optional<T> read(std::string_view bytes, uint64_t at) {
  const auto raw = part(bytes, at, sizeof(T));
  if (!raw) return std::nullopt;
  T value;
  std::memcpy(&value, raw->data(), sizeof value);
  return value;
}

std::optional<Elf64_Shdr> section(std::string_view bytes, const Elf64_Ehdr& header, uint64_t index) {
  if (index >= header.e_shnum || header.e_shoff > bytes.size()) return std::nullopt;
  return read<Elf64_Shdr>(bytes, header.e_shoff + index * sizeof(Elf64_Shdr));
}

std::optional<std::string_view> text_at(std::string_view table, uint32_t at) {
  if (at >= table.size()) return std::nullopt;
  const size_t end = table.find('\0', at);
  if (end == table.npos) return std::nullopt;
  return table.substr(at, end - at);
}

// Nothing: it is seen by nobody outside.
std::optional<ElfSymbol::Kind> kind_of(const Elf64_Sym& symbol) {
  const auto binding = ELF64_ST_BIND(symbol.st_info);
  if (binding == STB_LOCAL) return std::nullopt;
  if (symbol.st_shndx == SHN_UNDEF) {
    return binding == STB_WEAK ? ElfSymbol::Kind::wanted_if_there : ElfSymbol::Kind::wanted;
  }
  const auto visibility = ELF64_ST_VISIBILITY(symbol.st_other);
  if (visibility == STV_HIDDEN || visibility == STV_INTERNAL) return std::nullopt;
  return binding == STB_GNU_UNIQUE ? ElfSymbol::Kind::unique : ElfSymbol::Kind::exported;
}

using Symbols = std::vector<ElfSymbol>;

std::optional<Symbols> symbols_of(std::string_view table, std::string_view names) {
  Symbols found;
  for (uint64_t at = 0; at + sizeof(Elf64_Sym) <= table.size(); at += sizeof(Elf64_Sym)) {
    const auto symbol = read<Elf64_Sym>(table, at);
    const auto kind = kind_of(*symbol);
    if (!kind) continue;
    const auto name = text_at(names, symbol->st_name);
    if (!name) return std::nullopt;
    found.push_back({std::string(*name), *kind});
  }
  return found;
}

std::optional<Symbols> first_table(std::string_view bytes, const Elf64_Ehdr& header) {
  for (uint64_t i = 0; i < header.e_shnum; ++i) {
    const auto table = section(bytes, header, i);
    if (!table) return std::nullopt;
    if (table->sh_type != SHT_DYNSYM) continue;
    const auto strings = section(bytes, header, table->sh_link);
    if (!strings) return std::nullopt;
    const auto entries = part(bytes, table->sh_offset, table->sh_size);
    const auto names = part(bytes, strings->sh_offset, strings->sh_size);
    if (!entries || !names) return std::nullopt;
    return symbols_of(*entries, *names);
  }
  return std::nullopt;
}

}  // namespace

std::expected<Symbols, std::string> dynamic_symbols(std::string_view bytes) {
  const auto header = read<Elf64_Ehdr>(bytes, 0);
  if (!header || std::memcmp(header->e_ident, ELFMAG, SELFMAG) != 0 ||
      header->e_ident[EI_CLASS] != ELFCLASS64)
    return std::unexpected("is no shared object");
  if (header->e_shentsize == sizeof(Elf64_Shdr)) {
    if (auto found = first_table(bytes, *header)) return std::move(*found);
  }
  return std::unexpected("has no table of its symbols: was it stripped of its section headers?");
}

}  // namespace penstock::plugin
