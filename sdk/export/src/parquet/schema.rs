/// The columns, one row a span; `PARQUET.md` says what each holds. [`super::row`] fills them in
/// this order.
pub(super) const SCHEMA: &str = "
message spanlite_spans {
  required binary trace_id (STRING);
  required binary span_id (STRING);
  optional binary parent_span_id (STRING);
  required int64 span_index;
  required binary name (STRING);
  required binary kind (STRING);
  required binary span_type (STRING);
  required int64 start_time (TIMESTAMP(MICROS,true));
  optional int64 end_time (TIMESTAMP(MICROS,true));
  required int64 start_time_unix_nano;
  optional int64 end_time_unix_nano;
  optional int64 duration_nanos;
  required binary status (STRING);
  required binary status_message (STRING);
  optional binary error_type (STRING);
  optional binary error_message (STRING);
  optional binary inputs (JSON);
  optional binary outputs (JSON);
  required binary attributes (JSON);
  optional binary model (STRING);
  optional binary provider (STRING);
  optional int64 input_tokens;
  optional int64 output_tokens;
  optional int64 total_tokens;
  optional int64 cache_read_input_tokens;
  optional int64 cache_creation_input_tokens;
  optional double total_cost;
  required group events (LIST) { repeated group list { required group element {
    required binary name (STRING);
    required int64 time (TIMESTAMP(MICROS,true));
    required int64 time_unix_nano;
    required binary attributes (JSON);
  } } }
  required group links (LIST) { repeated group list { required group element {
    required binary trace_id (STRING);
    required binary span_id (STRING);
    required binary attributes (JSON);
  } } }
  optional binary service_name (STRING);
  required binary resource (JSON);
  required binary scope_name (STRING);
  required binary scope_version (STRING);
  required binary w3c_trace_state (STRING);
  required group trace {
    optional binary name (STRING);
    required binary state (STRING);
    optional int64 start_time (TIMESTAMP(MICROS,true));
    required int64 duration_nanos;
    required int64 n_spans;
    optional binary session (STRING);
    optional binary user (STRING);
    optional binary client_request_id (STRING);
    optional binary request_preview (STRING);
    optional binary response_preview (STRING);
    optional int64 input_tokens;
    optional int64 output_tokens;
    optional int64 total_tokens;
    optional double total_cost;
    required group tags (MAP) { repeated group key_value {
      required binary key (STRING);
      required binary value (STRING);
    } }
    required group metadata (MAP) { repeated group key_value {
      required binary key (STRING);
      required binary value (STRING);
    } }
    required group assessments (LIST) { repeated group list { required group element {
      required binary id (STRING);
      required binary name (STRING);
      required binary kind (STRING);
      optional binary value (JSON);
      optional binary error (STRING);
      required binary source_type (STRING);
      optional binary source_id (STRING);
      optional binary span_id (STRING);
      optional binary rationale (STRING);
      required int64 create_time (TIMESTAMP(MICROS,true));
      required int64 update_time (TIMESTAMP(MICROS,true));
      required boolean valid;
    } } }
  }
}";
