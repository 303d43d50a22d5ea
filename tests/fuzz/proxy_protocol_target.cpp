// The header that says who a client is: read the same however it comes, and never half.
#include <algorithm>

#include "fuzz/targets.h"
#include "net/proxy_protocol.h"

namespace penstock::fuzz {

using net::ProxyHeader;
using State = net::ProxyHeaderRead::State;

void fuzz_proxy_protocol(std::string_view bytes) {
  ProxyHeader header;
  auto whole = net::read_proxy_header(bytes, header);
  bool v1 = bytes.starts_with('P');
  size_t limit = v1 ? net::max_proxy_header_v1 : net::max_proxy_header_v2;
  if (whole.state == State::done) {
    promise(whole.size > 0 && whole.size <= bytes.size(), "a header lies within what came");
    promise(whole.size <= limit, "a header is not over its limit");
    if (v1) promise(bytes.substr(0, whole.size).ends_with("\r\n"), "version 1 is a line", bytes);
    if (header.kind == ProxyHeader::Kind::proxied && v1)
      promise(header.source.valid() && header.destination.valid(), "a client has an address", bytes);
  }
  if (whole.state == State::malformed) promise(!whole.text.empty(), "a refusal says why");
  if (whole.state == State::more) promise(bytes.size() < limit, "what is over the limit is not waited for");
  // A header is done at its last byte and at no other; what is malformed stays so.
  State last = State::more;
  for (size_t size = 0; size <= std::min<size_t>(bytes.size(), 600); ++size) {
    ProxyHeader part;
    auto read = net::read_proxy_header(bytes.substr(0, size), part);
    if (last == State::malformed)
      promise(read.state == State::malformed, "what is malformed stays so", bytes);
    if (last == State::done) promise(read.state == State::done, "what is done stays so", bytes);
    if (read.state == State::done) {
      promise(size >= read.size, "a header is not done before its end", bytes);
      promise(last != State::more || size == read.size, "a header is done at its last byte", bytes);
      promise(whole.state == State::done && read.size == whole.size && part.kind == header.kind,
              "what follows a header does not change it", bytes);
      if (part.kind == ProxyHeader::Kind::proxied)
        promise(part.source == header.source && part.destination == header.destination,
                "nor the addresses in it", bytes);
    }
    last = read.state;
  }
}

}  // namespace penstock::fuzz
