// Where a credential may stand in a request: a header, a query parameter or a cookie, and how many of them
// there are. Two, one of them maybe empty, are refused by whoever asks: which of them the next hop would take
// is anybody's guess.
#pragma once
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "penstock_plugin.hpp"

namespace auth {

// How many parts between the separators have this name; in a query the names are percent-decoded.
uint32_t query_occurrences(std::string_view query, std::string_view name);
uint32_t cookie_occurrences(std::string_view field, std::string_view name);

struct Found {
  uint32_t count = 0;      // 0: no credential, 1: this one, more: repeated
  std::string_view value;  // valid until the hook returns
  void add(std::string_view text, uint32_t times) {
    if (times == 0) return;
    count += times;
    value = text;
  }
};

class Carriers {
 public:
  struct Names {
    std::optional<std::string> header, query, cookie;
  };
  enum class Form : uint8_t {
    bare,
    bearer
  };  // bearer: in `authorization` the scheme is required, elsewhere allowed

  // Tells the host which places these are, and which of them cannot be.
  Carriers(const Names& names, Form form, gw::setup& setup);
  Found read(const gw::request& r) const;

 private:
  void read_header(const gw::request& r, Found& out) const;
  uint32_t cookies(const gw::request& r) const;

  Form form_;
  bool scheme_required_ = false;
  gw::header header_, cookie_field_;
  gw::attribute query_, cookie_, raw_query_;
  std::string query_name_, cookie_name_;
};

}  // namespace auth
