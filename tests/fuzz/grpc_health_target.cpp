// The body of an answer to a gRPC health check: read the same however it comes, and never half.
#include <algorithm>

#include "fuzz/targets.h"
#include "upstream/health/grpc_health.h"

namespace penstock::fuzz {

using upstream::grpc_health::AnswerReader;

void fuzz_grpc_health(std::string_view bytes) {
  AnswerReader whole;
  const bool taken = bytes.empty() || whole.feed(bytes);
  const auto status = whole.status();
  if (!taken) promise(!status, "what is refused has no status", bytes);
  if (status)
    promise(bytes.size() <= 5 + AnswerReader::max_message && bytes.starts_with('\0'),
            "a status is of one message within the bound, not compressed", bytes);

  AnswerReader slow;
  bool refused = false;
  for (size_t at = 0; at < std::min<size_t>(bytes.size(), 600); ++at) {
    const bool good = slow.feed(bytes.substr(at, 1));
    promise(!(refused && good), "what is refused stays so", bytes);
    refused = !good;
    // Were the body over here, nothing would be left that another status could come from.
    if (slow.status() && at + 1 < bytes.size()) promise(!status, "one message has one end", bytes);
  }
  if (bytes.size() <= 600) promise(slow.status() == status, "pieces change nothing", bytes);
}

}  // namespace penstock::fuzz
