// SPDX-License-Identifier: Apache-2.0
// The numbers of the Parquet format, named once for the reader and the writer.
//
// Source: apache/parquet-format, src/main/thrift/parquet.thrift (checked at commit 010f49b8), and Encodings.md and
// LogicalTypes.md beside it. Wire types of the Thrift compact protocol: apache/thrift,
// doc/specs/thrift-compact-protocol.md.
//
// Field ids are written PQ_<struct>_<FIELD>; ids that the format has retired keep their place. A file is
//
//   "PAR1"  column chunks (dictionary page?, data pages...)  page indexes, bloom filters?  FileMetaData  u32  "PAR1"
#ifndef HR_FORMAT_PARQUET_PQ_FORMAT_H
#define HR_FORMAT_PARQUET_PQ_FORMAT_H

#define PQ_MAGIC           "PAR1"
#define PQ_MAGIC_ENCRYPTED "PARE"
#define PQ_MAGIC_BYTES     4
#define PQ_TAIL_BYTES      8 // footer length and magic

// --- enums ---

typedef enum pq_type { // Type
    PQ_TYPE_BOOLEAN = 0,
    PQ_TYPE_INT32 = 1,
    PQ_TYPE_INT64 = 2,
    PQ_TYPE_INT96 = 3,
    PQ_TYPE_FLOAT = 4,
    PQ_TYPE_DOUBLE = 5,
    PQ_TYPE_BYTE_ARRAY = 6,
    PQ_TYPE_FIXED_LEN_BYTE_ARRAY = 7,
} pq_type;

typedef enum pq_converted { // ConvertedType
    PQ_CONVERTED_UTF8 = 0,
    PQ_CONVERTED_MAP = 1,
    PQ_CONVERTED_MAP_KEY_VALUE = 2,
    PQ_CONVERTED_LIST = 3,
    PQ_CONVERTED_ENUM = 4,
    PQ_CONVERTED_DECIMAL = 5,
    PQ_CONVERTED_DATE = 6,
    PQ_CONVERTED_TIME_MILLIS = 7,
    PQ_CONVERTED_TIME_MICROS = 8,
    PQ_CONVERTED_TIMESTAMP_MILLIS = 9,
    PQ_CONVERTED_TIMESTAMP_MICROS = 10,
    PQ_CONVERTED_UINT_8 = 11,
    PQ_CONVERTED_UINT_16 = 12,
    PQ_CONVERTED_UINT_32 = 13,
    PQ_CONVERTED_UINT_64 = 14,
    PQ_CONVERTED_INT_8 = 15,
    PQ_CONVERTED_INT_16 = 16,
    PQ_CONVERTED_INT_32 = 17,
    PQ_CONVERTED_INT_64 = 18,
    PQ_CONVERTED_JSON = 19,
    PQ_CONVERTED_BSON = 20,
    PQ_CONVERTED_INTERVAL = 21,
} pq_converted;

typedef enum pq_repetition { // FieldRepetitionType
    PQ_REQUIRED = 0,
    PQ_OPTIONAL = 1,
    PQ_REPEATED = 2,
    PQ_VECTOR = 3, // newer than most readers; nothing here writes it
} pq_repetition;

typedef enum pq_encoding { // Encoding
    PQ_ENCODING_PLAIN = 0,
    PQ_ENCODING_GROUP_VAR_INT = 1, // never used
    PQ_ENCODING_PLAIN_DICTIONARY = 2,
    PQ_ENCODING_RLE = 3,
    PQ_ENCODING_BIT_PACKED = 4, // deprecated
    PQ_ENCODING_DELTA_BINARY_PACKED = 5,
    PQ_ENCODING_DELTA_LENGTH_BYTE_ARRAY = 6,
    PQ_ENCODING_DELTA_BYTE_ARRAY = 7,
    PQ_ENCODING_RLE_DICTIONARY = 8,
    PQ_ENCODING_BYTE_STREAM_SPLIT = 9,
} pq_encoding;

typedef enum pq_codec { // CompressionCodec
    PQ_CODEC_UNCOMPRESSED = 0,
    PQ_CODEC_SNAPPY = 1,
    PQ_CODEC_GZIP = 2,
    PQ_CODEC_LZO = 3,
    PQ_CODEC_BROTLI = 4,
    PQ_CODEC_LZ4 = 5, // deprecated, framed as Hadoop does
    PQ_CODEC_ZSTD = 6,
    PQ_CODEC_LZ4_RAW = 7,
} pq_codec;

typedef enum pq_page_type { // PageType
    PQ_PAGE_DATA = 0,
    PQ_PAGE_INDEX = 1,
    PQ_PAGE_DICTIONARY = 2,
    PQ_PAGE_DATA_V2 = 3,
} pq_page_type;

typedef enum pq_boundary_order { // BoundaryOrder
    PQ_BOUNDARY_UNORDERED = 0,
    PQ_BOUNDARY_ASCENDING = 1,
    PQ_BOUNDARY_DESCENDING = 2,
} pq_boundary_order;

typedef enum pq_logical { // LogicalType, a union: the field id is the kind
    PQ_LOGICAL_NONE = 0,
    PQ_LOGICAL_STRING = 1,
    PQ_LOGICAL_MAP = 2,
    PQ_LOGICAL_LIST = 3,
    PQ_LOGICAL_ENUM = 4,
    PQ_LOGICAL_DECIMAL = 5,
    PQ_LOGICAL_DATE = 6,
    PQ_LOGICAL_TIME = 7,
    PQ_LOGICAL_TIMESTAMP = 8,
    PQ_LOGICAL_INTERVAL_RESERVED = 9,
    PQ_LOGICAL_INTEGER = 10,
    PQ_LOGICAL_UNKNOWN = 11, // always null
    PQ_LOGICAL_JSON = 12,
    PQ_LOGICAL_BSON = 13,
    PQ_LOGICAL_UUID = 14,
    PQ_LOGICAL_FLOAT16 = 15,
    PQ_LOGICAL_VARIANT = 16,
    PQ_LOGICAL_GEOMETRY = 17,
    PQ_LOGICAL_GEOGRAPHY = 18,
    PQ_LOGICAL_VECTOR = 19,
} pq_logical;

typedef enum pq_time_unit { // TimeUnit, a union
    PQ_UNIT_MILLIS = 1,
    PQ_UNIT_MICROS = 2,
    PQ_UNIT_NANOS = 3,
} pq_time_unit;

// --- Thrift compact protocol ---

typedef enum pq_wire { // type nibble of a field or list header
    PQ_WIRE_STOP = 0,
    PQ_WIRE_TRUE =
        1, // a bool field carries its value here; in a list it is a byte, 1 true and 2 (or 0) false
    PQ_WIRE_FALSE = 2,
    PQ_WIRE_BYTE = 3,
    PQ_WIRE_I16 = 4,
    PQ_WIRE_I32 = 5,
    PQ_WIRE_I64 = 6,
    PQ_WIRE_DOUBLE = 7,
    PQ_WIRE_BINARY = 8,
    PQ_WIRE_LIST = 9,
    PQ_WIRE_SET = 10,
    PQ_WIRE_MAP = 11,
    PQ_WIRE_STRUCT = 12,
    PQ_WIRE_UUID = 13,
} pq_wire;

// --- field ids ---

enum { // FileMetaData
    PQ_FILE_VERSION = 1,
    PQ_FILE_SCHEMA = 2,
    PQ_FILE_NUM_ROWS = 3,
    PQ_FILE_ROW_GROUPS = 4,
    PQ_FILE_KEY_VALUE_METADATA = 5,
    PQ_FILE_CREATED_BY = 6,
    PQ_FILE_COLUMN_ORDERS = 7,
    PQ_FILE_ENCRYPTION_ALGORITHM = 8,
    PQ_FILE_FOOTER_SIGNING_KEY_METADATA = 9,
};

enum { // SchemaElement
    PQ_ELEMENT_TYPE = 1,
    PQ_ELEMENT_TYPE_LENGTH = 2,
    PQ_ELEMENT_REPETITION_TYPE = 3,
    PQ_ELEMENT_NAME = 4,
    PQ_ELEMENT_NUM_CHILDREN = 5,
    PQ_ELEMENT_CONVERTED_TYPE = 6,
    PQ_ELEMENT_SCALE = 7,
    PQ_ELEMENT_PRECISION = 8,
    PQ_ELEMENT_FIELD_ID = 9,
    PQ_ELEMENT_LOGICAL_TYPE = 10,
    PQ_ELEMENT_VECTOR_LENGTH = 11,
};

enum { // DecimalType, TimeType, TimestampType, IntType
    PQ_DECIMAL_SCALE = 1,
    PQ_DECIMAL_PRECISION = 2,
    PQ_TIME_IS_ADJUSTED_TO_UTC = 1,
    PQ_TIME_UNIT = 2,
    PQ_INT_BIT_WIDTH = 1, // i8
    PQ_INT_IS_SIGNED = 2,
};

// Key of the file's metadata for a tensor column of more than one dimension, which is one flat list in the file: the
// prefix and the column's name; the value is the shape, as "80,80,4". Ours, and no part of the format.
#define PQ_KEY_SHAPE_PREFIX "headrace:shape:"

enum { // KeyValue
    PQ_KEY_VALUE_KEY = 1,
    PQ_KEY_VALUE_VALUE = 2,
};

enum { // RowGroup
    PQ_GROUP_COLUMNS = 1,
    PQ_GROUP_TOTAL_BYTE_SIZE = 2,
    PQ_GROUP_NUM_ROWS = 3,
    PQ_GROUP_SORTING_COLUMNS = 4,
    PQ_GROUP_FILE_OFFSET = 5,
    PQ_GROUP_TOTAL_COMPRESSED_SIZE = 6,
    PQ_GROUP_ORDINAL = 7, // i16
};

enum { // ColumnChunk
    PQ_CHUNK_FILE_PATH = 1,
    PQ_CHUNK_FILE_OFFSET = 2,
    PQ_CHUNK_META_DATA = 3,
    PQ_CHUNK_OFFSET_INDEX_OFFSET = 4,
    PQ_CHUNK_OFFSET_INDEX_LENGTH = 5,
    PQ_CHUNK_COLUMN_INDEX_OFFSET = 6,
    PQ_CHUNK_COLUMN_INDEX_LENGTH = 7,
    PQ_CHUNK_CRYPTO_METADATA = 8,
    PQ_CHUNK_ENCRYPTED_COLUMN_METADATA = 9,
};

enum { // ColumnMetaData
    PQ_COLUMN_TYPE = 1,
    PQ_COLUMN_ENCODINGS = 2,
    PQ_COLUMN_PATH_IN_SCHEMA = 3,
    PQ_COLUMN_CODEC = 4,
    PQ_COLUMN_NUM_VALUES = 5,
    PQ_COLUMN_TOTAL_UNCOMPRESSED_SIZE = 6,
    PQ_COLUMN_TOTAL_COMPRESSED_SIZE = 7,
    PQ_COLUMN_KEY_VALUE_METADATA = 8,
    PQ_COLUMN_DATA_PAGE_OFFSET = 9,
    PQ_COLUMN_INDEX_PAGE_OFFSET = 10,
    PQ_COLUMN_DICTIONARY_PAGE_OFFSET = 11,
    PQ_COLUMN_STATISTICS = 12,
    PQ_COLUMN_ENCODING_STATS = 13,
    PQ_COLUMN_BLOOM_FILTER_OFFSET = 14,
    PQ_COLUMN_BLOOM_FILTER_LENGTH = 15,
    PQ_COLUMN_SIZE_STATISTICS = 16,
    PQ_COLUMN_GEOSPATIAL_STATISTICS = 17,
};

enum { // PageEncodingStats
    PQ_ENCODING_STATS_PAGE_TYPE = 1,
    PQ_ENCODING_STATS_ENCODING = 2,
    PQ_ENCODING_STATS_COUNT = 3,
};

enum {                     // Statistics
    PQ_STATISTICS_MAX = 1, // deprecated: signed order only
    PQ_STATISTICS_MIN = 2,
    PQ_STATISTICS_NULL_COUNT = 3,
    PQ_STATISTICS_DISTINCT_COUNT = 4,
    PQ_STATISTICS_MAX_VALUE = 5,
    PQ_STATISTICS_MIN_VALUE = 6,
    PQ_STATISTICS_IS_MAX_VALUE_EXACT = 7,
    PQ_STATISTICS_IS_MIN_VALUE_EXACT = 8,
    PQ_STATISTICS_NAN_COUNT = 9,
};

enum { // SizeStatistics
    PQ_SIZES_UNENCODED_BYTE_ARRAY_DATA_BYTES = 1,
    PQ_SIZES_REPETITION_LEVEL_HISTOGRAM = 2,
    PQ_SIZES_DEFINITION_LEVEL_HISTOGRAM = 3,
};

enum { // ColumnOrder, a union
    PQ_ORDER_TYPE_DEFINED = 1,
    PQ_ORDER_IEEE_754_TOTAL = 2,
    PQ_ORDER_INT96_TIMESTAMP = 3,
};

enum { // SortingColumn
    PQ_SORTING_COLUMN_IDX = 1,
    PQ_SORTING_DESCENDING = 2,
    PQ_SORTING_NULLS_FIRST = 3,
};

enum { // PageHeader
    PQ_PAGE_HEADER_TYPE = 1,
    PQ_PAGE_HEADER_UNCOMPRESSED_PAGE_SIZE = 2,
    PQ_PAGE_HEADER_COMPRESSED_PAGE_SIZE = 3,
    PQ_PAGE_HEADER_CRC = 4,
    PQ_PAGE_HEADER_DATA = 5,
    PQ_PAGE_HEADER_INDEX = 6,
    PQ_PAGE_HEADER_DICTIONARY = 7,
    PQ_PAGE_HEADER_DATA_V2 = 8,
};

enum { // DataPageHeader
    PQ_DATA_PAGE_NUM_VALUES = 1,
    PQ_DATA_PAGE_ENCODING = 2,
    PQ_DATA_PAGE_DEFINITION_LEVEL_ENCODING = 3,
    PQ_DATA_PAGE_REPETITION_LEVEL_ENCODING = 4,
    PQ_DATA_PAGE_STATISTICS = 5,
};

enum { // DataPageHeaderV2
    PQ_DATA_PAGE_V2_NUM_VALUES = 1,
    PQ_DATA_PAGE_V2_NUM_NULLS = 2,
    PQ_DATA_PAGE_V2_NUM_ROWS = 3,
    PQ_DATA_PAGE_V2_ENCODING = 4,
    PQ_DATA_PAGE_V2_DEFINITION_LEVELS_BYTE_LENGTH = 5,
    PQ_DATA_PAGE_V2_REPETITION_LEVELS_BYTE_LENGTH = 6,
    PQ_DATA_PAGE_V2_IS_COMPRESSED = 7, // absent: true
    PQ_DATA_PAGE_V2_STATISTICS = 8,
};

enum { // DictionaryPageHeader
    PQ_DICTIONARY_PAGE_NUM_VALUES = 1,
    PQ_DICTIONARY_PAGE_ENCODING = 2,
    PQ_DICTIONARY_PAGE_IS_SORTED = 3,
};

enum { // OffsetIndex, PageLocation
    PQ_OFFSET_INDEX_PAGE_LOCATIONS = 1,
    PQ_OFFSET_INDEX_UNENCODED_BYTE_ARRAY_DATA_BYTES = 2,
    PQ_LOCATION_OFFSET = 1,
    PQ_LOCATION_COMPRESSED_PAGE_SIZE = 2,
    PQ_LOCATION_FIRST_ROW_INDEX = 3,
};

enum { // ColumnIndex
    PQ_COLUMN_INDEX_NULL_PAGES = 1,
    PQ_COLUMN_INDEX_MIN_VALUES = 2,
    PQ_COLUMN_INDEX_MAX_VALUES = 3,
    PQ_COLUMN_INDEX_BOUNDARY_ORDER = 4,
    PQ_COLUMN_INDEX_NULL_COUNTS = 5,
    PQ_COLUMN_INDEX_REPETITION_LEVEL_HISTOGRAMS = 6,
    PQ_COLUMN_INDEX_DEFINITION_LEVEL_HISTOGRAMS = 7,
    PQ_COLUMN_INDEX_NAN_COUNTS = 8,
};

enum { // BloomFilterHeader and its unions (each has one member, 1)
    PQ_BLOOM_NUM_BYTES = 1,
    PQ_BLOOM_ALGORITHM = 2,
    PQ_BLOOM_HASH = 3,
    PQ_BLOOM_COMPRESSION = 4,
    PQ_BLOOM_ALGORITHM_BLOCK = 1,
    PQ_BLOOM_HASH_XXHASH = 1,
    PQ_BLOOM_COMPRESSION_UNCOMPRESSED = 1,
};

#endif
