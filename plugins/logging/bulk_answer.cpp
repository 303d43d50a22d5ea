#include "bulk_answer.h"

#include <nlohmann/json.hpp>

namespace logging {
namespace {

using Json = nlohmann::json;

// {"errors":..., "items":[{"create":{"status":429,"error":{"type":"..."}}}, ...]}, read as it comes: nothing
// is built but the answer, however large or deep the text is.
class BulkReader final : public nlohmann::json_sax<Json> {
 public:
  BulkReader(BulkAnswer& answer, size_t most) : answer_(answer), most_(most) {}
  bool whole() const { return seen_items_; }

  bool key(std::string& name) override {
    if (depth_ == top) in_items_ = name == "items";
    if (depth_ == action) at_status_ = name == "status", in_error_ = name == "error";
    at_type_ = depth_ == error && in_error_ && name == "type";
    return true;
  }
  bool start_object(size_t) override {
    ++depth_;
    if (in_items_ && depth_ == item) {
      if (answer_.statuses.size() == most_) return false;
      answer_.statuses.push_back(0);
    }
    at_status_ = at_type_ = false;
    return true;
  }
  bool end_object() override { return leave(); }
  bool start_array(size_t) override {
    ++depth_;
    if (in_items_ && depth_ == list) seen_items_ = true;
    at_status_ = at_type_ = false;
    return true;
  }
  bool end_array() override { return leave(); }

  bool number_unsigned(number_unsigned_t value) override {
    if (in_items_ && depth_ == action && at_status_ && !answer_.statuses.empty() && value < 1000)
      answer_.statuses.back() = static_cast<uint16_t>(value);
    return scalar();
  }
  bool string(string_t& value) override {
    if (in_items_ && at_type_ && answer_.first_error.empty())
      answer_.first_error = value.substr(0, BulkAnswer::max_type);
    return scalar();
  }
  bool null() override { return scalar(); }
  bool boolean(bool) override { return scalar(); }
  bool number_integer(number_integer_t) override { return scalar(); }
  bool number_float(number_float_t, const string_t&) override { return scalar(); }
  bool binary(binary_t&) override { return scalar(); }
  bool parse_error(size_t, const std::string&, const nlohmann::detail::exception&) override { return false; }

 private:
  // How deep the parts stand.
  static constexpr size_t top = 1, list = 2, item = 3, action = 4, error = 5;
  bool leave() {
    --depth_;
    if (depth_ <= action) in_error_ = false;
    at_status_ = at_type_ = false;
    return true;
  }
  bool scalar() {
    at_status_ = at_type_ = false;
    return true;
  }
  BulkAnswer& answer_;
  const size_t most_;
  size_t depth_ = 0;
  bool in_items_ = false, seen_items_ = false, at_status_ = false, in_error_ = false, at_type_ = false;
};

}  // namespace

std::optional<BulkAnswer> read_bulk_answer(std::string_view text, size_t most) {
  BulkAnswer answer;
  BulkReader reader(answer, most);
  if (!Json::sax_parse(text.begin(), text.end(), &reader) || !reader.whole()) return std::nullopt;
  return answer;
}

}  // namespace logging
