// The answer to a request in Elasticsearch's bulk form: what became of each document, in the order in which
// they were sent. Pure; from a peer, so anything may be in it.
#pragma once
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace logging {

struct BulkAnswer {
  static constexpr size_t max_type = 128;
  std::vector<uint16_t> statuses;  // one for each item; 0: it names none
  std::string first_error;         // the type of the first error, cut at max_type
};

// Nothing: this is no such answer. `most` items are read at most; one more, and it is none.
std::optional<BulkAnswer> read_bulk_answer(std::string_view text, size_t most);

}  // namespace logging
