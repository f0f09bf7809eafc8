import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import {
  decodeCommandComplete,
  decodeDataRow,
  decodeReport,
  writeCommandComplete,
  writeDataRow,
  writeParameterDescription,
  writeReadyForQuery,
  writeReport,
  writeRowDescription,
} from '../../src/wire/backend-messages.ts';
import {
  decodeBind,
  decodeBindNames,
  decodeExecute,
  decodeParse,
  decodeQuery,
  decodeTarget,
  writeBind,
  writeClose,
  writeDescribe,
  writeExecute,
  writeParse,
  writeQuery,
} from '../../src/wire/frontend-messages.ts';
import { BACKEND, STATUS } from '../../src/wire/message-type.ts';
import { decodeStartupPacket, encodeCancelRequest, encodeStartupMessage } from '../../src/wire/startup.ts';
import { Writer } from '../../src/wire/writer.ts';

function written(write: (writer: Writer) => void, capacity?: number): Buffer {
  const writer = new Writer(capacity);
  write(writer);
  return writer.finish();
}

// As a server or libpq lays them out.
const LAYOUTS: ReadonlyArray<[name: string, write: (writer: Writer) => void, hex: string]> = [
  ['Query', (w) => writeQuery(w, Buffer.from('ü;')), '5100000008c3bc3b00'],
  [
    'Parse',
    (w) => writeParse(w, { name: 's', text: Buffer.from('x'), parameterTypes: [25, 0] }),
    '50000000127300780000020000001900000000',
  ],
  [
    'Bind',
    (w) =>
      writeBind(w, {
        portal: 'p',
        statement: '',
        parameterFormats: [1],
        parameters: [Buffer.from('a'), null],
        resultFormats: [0, 1],
      }),
    '420000001c7000000001000100020000000161ffffffff000200000001',
  ],
  ['Describe', (w) => writeDescribe(w, { kind: 'statement', name: 's' }), '4400000007537300'],
  ['Close', (w) => writeClose(w, { kind: 'portal', name: '' }), '43000000065000'],
  ['Execute', (w) => writeExecute(w, { portal: '', maxRows: 7 }), '45000000090000000007'],
  [
    'RowDescription',
    (w) => writeRowDescription(w, [{ name: 'n', typeOid: 25, typeBytes: -1, format: 1 }]),
    '540000001a00016e0000000000000000000019ffffffffffff0001',
  ],
  ['DataRow', (w) => writeDataRow(w, [Buffer.from('a'), null]), '440000000f00020000000161ffffffff'],
  ['CommandComplete', (w) => writeCommandComplete(w, 'SHOW'), '430000000953484f5700'],
  ['ParameterDescription', (w) => writeParameterDescription(w, [25]), '740000000a000100000019'],
  ['ReadyForQuery', (w) => writeReadyForQuery(w, STATUS.inBlock), '5a0000000554'],
  [
    'ErrorResponse',
    (w) => writeReport(w, BACKEND.errorResponse, new Map([['M', Buffer.from('no')]])),
    '45000000094d6e6f0000',
  ],
];
for (const [name, write, hex] of LAYOUTS) {
  test(`${name} is laid out as the manual has it, whatever room the writer began with`, () => {
    assert.equal(written(write).toString('hex'), hex);
    assert.equal(written(write, 1).toString('hex'), hex);
  });
}

test('the startup packet and the cancel request are laid out as the manual has them', () => {
  assert.equal(encodeStartupMessage({ user: 'me' }, 2).toString('hex'), '000000110003000275736572006d650000');
  assert.equal(
    encodeCancelRequest(Buffer.from('0102030405060708', 'hex')).toString('hex'),
    '0000001004d2162e0102030405060708',
  );
});

const name = fc.string({ maxLength: 8 }).map((text) => Buffer.from(text).toString('latin1').replaceAll('\0', ''));
const value = fc.option(fc.uint8Array({ maxLength: 8 }).map((bytes) => Buffer.from(bytes)));
const format = fc.constantFrom(0, 1);

test('what is written is read', () => {
  fc.assert(
    fc.property(
      fc.record(
        {
          portal: name,
          statement: name,
          parameterFormats: fc.array(format),
          parameters: fc.array(value),
          resultFormats: fc.array(format),
        },
        { noNullPrototype: true },
      ),
      (bind) => {
        const message = written((writer) => writeBind(writer, bind));
        assert.deepEqual(decodeBind(message), bind);
        assert.deepEqual(decodeBindNames(message), { portal: bind.portal, statement: bind.statement });
      },
    ),
  );
  fc.assert(
    fc.property(name, fc.array(fc.nat()), (text, parameterTypes) => {
      const parse = { name: text, text: Buffer.from(text), parameterTypes };
      assert.deepEqual(decodeParse(written((writer) => writeParse(writer, parse))), parse);
      const target = { kind: 'portal', name: text } as const;
      assert.deepEqual(decodeTarget(written((writer) => writeDescribe(writer, target))), target);
      const execute = { portal: text, maxRows: parameterTypes.length };
      assert.deepEqual(decodeExecute(written((writer) => writeExecute(writer, execute))), execute);
      assert.equal(decodeCommandComplete(written((writer) => writer.begin(67).name(text).end())), text);
      assert.deepEqual(decodeQuery(written((writer) => writeQuery(writer, Buffer.from(text)))), Buffer.from(text));
    }),
  );
  fc.assert(
    fc.property(fc.array(value), (values) => {
      assert.deepEqual(decodeDataRow(written((writer) => writeDataRow(writer, values))), values);
    }),
  );
});

test('65,535 parameters are read and written, as the server does', () => {
  const bind = {
    portal: '',
    statement: '',
    parameterFormats: Array.from({ length: 65_535 }, (_, i) => i % 2),
    parameters: Array.from({ length: 65_535 }, () => null),
    resultFormats: [],
  };
  assert.deepEqual(decodeBind(written((writer) => writeBind(writer, bind))), bind);
  const parse = { name: 's', text: Buffer.from('x'), parameterTypes: Array.from({ length: 65_535 }, (_, i) => i) };
  assert.deepEqual(decodeParse(written((writer) => writeParse(writer, parse))), parse);
  const described = written((writer) => writeParameterDescription(writer, parse.parameterTypes));
  assert.deepEqual([described.readUInt16BE(5), described.length], [65_535, 7 + 4 * 65_535]);
});

test('made-up bodies are a protocol violation or are read, and nothing else', () => {
  const decoders = [
    decodeQuery,
    decodeParse,
    decodeBind,
    decodeBindNames,
    decodeTarget,
    decodeExecute,
    decodeDataRow,
    decodeCommandComplete,
    decodeReport,
    decodeStartupPacket,
  ];
  fc.assert(
    fc.property(fc.uint8Array({ minLength: 5, maxLength: 40 }), fc.constantFrom(...decoders), (bytes, decode) => {
      try {
        decode(Buffer.from(bytes));
      } catch (error) {
        assert.equal((error as { code?: string }).code, '08P01');
      }
    }),
    { numRuns: 5000 },
  );
});
