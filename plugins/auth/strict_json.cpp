#include "strict_json.h"

#include <string>
#include <vector>

#include <nlohmann/json.hpp>

namespace auth {
namespace {

using nlohmann::json;
constexpr size_t max_depth = 16;

// Builds the document as the reader of the library goes through it; an answer of false ends the reading.
// `open_` are the lists and maps that are not closed yet: only the last of them grows, so that the others
// stay where they are.
class Builder final : public nlohmann::json_sax<json> {
 public:
  bool null() override { return add(nullptr); }
  bool boolean(bool value) override { return add(value); }
  bool number_integer(number_integer_t value) override { return add(value); }
  bool number_unsigned(number_unsigned_t value) override { return add(value); }
  bool number_float(number_float_t value, const string_t&) override { return add(value); }
  bool string(string_t& value) override { return add(std::move(value)); }
  bool binary(binary_t&) override { return false; }
  bool start_object(size_t) override { return open(json::object()); }
  bool start_array(size_t) override { return open(json::array()); }
  bool end_object() override { return close(); }
  bool end_array() override { return close(); }
  bool parse_error(size_t, const std::string&, const nlohmann::detail::exception&) override { return false; }
  bool key(string_t& name) override {
    const auto [member, fresh] = open_.back()->get_ref<json::object_t&>().emplace(std::move(name), nullptr);
    member_ = &member->second;
    return fresh;
  }

  json take() { return std::move(root_); }

 private:
  bool add(json value) { return place(std::move(value)) != nullptr; }
  json* place(json value) {
    json* here = &root_;
    if (!open_.empty() && open_.back()->is_array()) {
      open_.back()->push_back(std::move(value));
      return &open_.back()->back();
    }
    if (!open_.empty()) here = member_;
    *here = std::move(value);
    return here;
  }
  bool open(json value) {
    if (open_.size() == max_depth) return false;
    open_.push_back(place(std::move(value)));
    return true;
  }
  bool close() {
    open_.pop_back();
    return true;
  }

  json root_;
  json* member_ = nullptr;
  std::vector<json*> open_;
};

}  // namespace

json parse_strict(std::string_view text) {
  Builder builder;
  // The library takes a NUL for the end of the text.
  if (text.find('\0') != std::string_view::npos || !json::sax_parse(text.begin(), text.end(), &builder))
    return json(json::value_t::discarded);
  return builder.take();
}

}  // namespace auth
