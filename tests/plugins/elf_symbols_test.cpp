#include "plugin/elf_symbols.h"

#include <doctest/doctest.h>
#include <elf.h>

#include <algorithm>
#include <cstring>
#include <fstream>
#include <sstream>

#include "plugins/harness.h"

using penstock::plugin::dynamic_symbols;
using penstock::plugin::ElfSymbol;
using namespace penstock::plugin::testing;

namespace {

std::string bytes_of(const std::string& path) {
  std::ostringstream text;
  text << std::ifstream(path, std::ios::binary).rdbuf();
  return text.str();
}

// The header with one member set to what it cannot be.
template <class Member, class Value>
std::string with(std::string bytes, Member member, Value value) {
  Elf64_Ehdr header;
  std::memcpy(&header, bytes.data(), sizeof header);
  header.*member = value;
  std::memcpy(bytes.data(), &header, sizeof header);
  return bytes;
}

}  // namespace

TEST_CASE("the symbols of a plugin are its entry and what it wants of others") {
  const auto symbols = dynamic_symbols(bytes_of(test_plugin("in_c")));
  REQUIRE(symbols);
  const auto count = [&](ElfSymbol::Kind kind) {
    return std::ranges::count(*symbols, kind, &ElfSymbol::kind);
  };
  CHECK(count(ElfSymbol::Kind::exported) == 1);
  CHECK(count(ElfSymbol::Kind::unique) == 0);
  const auto has = [&](std::string_view name, ElfSymbol::Kind kind) {
    return std::ranges::any_of(*symbols,
                               [&](const ElfSymbol& s) { return s.name == name && s.kind == kind; });
  };
  CHECK(has("gw_plugin_entry", ElfSymbol::Kind::exported));
  CHECK(has("free", ElfSymbol::Kind::wanted));
}

TEST_CASE("a file that is cut anywhere, or lies about itself, is answered and harms nobody") {
  const std::string whole = bytes_of(test_plugin("in_c"));
  REQUIRE(whole.size() > 4096);
  size_t refused = 0;
  // In memory of exactly that size, so that a sanitizer build sees a byte too many.
  for (size_t size = 0; size < whole.size(); size += size < 200 ? 1 : 61)
    refused += dynamic_symbols(std::string(whole.data(), size)) ? 0 : 1;
  CHECK(refused > 200);
  CHECK_FALSE(dynamic_symbols(with(whole, &Elf64_Ehdr::e_shoff, uint64_t{0} - 64)));
  CHECK_FALSE(dynamic_symbols(with(whole, &Elf64_Ehdr::e_shoff, whole.size())));
  CHECK_FALSE(dynamic_symbols(with(whole, &Elf64_Ehdr::e_shnum, uint16_t{0})));
  CHECK_FALSE(dynamic_symbols(with(whole, &Elf64_Ehdr::e_shentsize, uint16_t{1})));
  CHECK_FALSE(dynamic_symbols("hello"));
  // Every byte of the section headers turned over, one after the other.
  Elf64_Ehdr header;
  std::memcpy(&header, whole.data(), sizeof header);
  for (size_t at = header.e_shoff;
       at < std::min(whole.size(), header.e_shoff + header.e_shnum * sizeof(Elf64_Shdr)); ++at) {
    std::string bent = whole;
    bent[at] = static_cast<char>(~bent[at]);
    (void)dynamic_symbols(bent);
  }
}
