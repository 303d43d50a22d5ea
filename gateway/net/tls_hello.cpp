#include "net/tls_hello.h"

#include <cstddef>
#include <cstdint>

namespace penstock::net {
namespace {

constexpr size_t max_name = 255;  // RFC 1035 2.3.4

// A vector with two bytes of length that fills `bytes` to their end.
bool take_whole_vector(std::string_view& bytes) {
  if (bytes.size() < 2) return false;
  const size_t size =
      static_cast<size_t>(static_cast<uint8_t>(bytes[0])) << 8 | static_cast<uint8_t>(bytes[1]);
  bytes.remove_prefix(2);
  return bytes.size() == size;
}

}  // namespace

std::string normal_server_name(std::string_view name) {
  if (name.ends_with('.')) name.remove_suffix(1);
  std::string out(name);
  for (char& c : out)
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
  return out;
}

// A list of names of different types of which only one was ever defined, so it has one element.
std::optional<std::string> read_server_name(std::string_view extension) {
  constexpr char host_name = 0;
  if (!take_whole_vector(extension) || extension.empty() || extension[0] != host_name) return std::nullopt;
  extension.remove_prefix(1);
  if (!take_whole_vector(extension) || extension.empty() || extension.size() > max_name) return std::nullopt;
  if (extension.find('\0') != extension.npos) return std::nullopt;
  return normal_server_name(extension);
}

}  // namespace penstock::net
