#!/usr/bin/perl

# Copyright (C) the nginx gray module authors
#
# The checker of util/torture finds what it is there for: histories that are
# made up, each of them right but for one thing.

use strict;
use warnings;

use FindBin;
use JSON::PP ();
use Test::More;

use lib "$FindBin::Bin/lib", "$FindBin::Bin/../util/torture.d";
use Test::Gray::XXH64;
use Torture::Checker;
use Torture::Record;

my $json = JSON::PP->new->utf8->canonical;


# -- histories

# a document, as an answer has it

sub text {
    my ($n, $mark, %more) = @_;

    my %document = (
        release    => 'checkout',
        revision   => $n,
        enabled    => JSON::PP::true,
        baseline   => 'stable',
        hash       => ['$arg_uid'],
        variants   => { stable => { upstream => 'v1' },
                        canary => { upstream => 'v2', weight => 10 } },
        rules      => [ { name => $mark, variant => 'canary',
                          when => { '$arg_u' => 'probe' } } ],
        allocation => { canary => [[0, 100000]] },
        origin     => 'api',
    );

    if (defined $more{weight}) {
        $document{variants}{canary}{weight} = delete $more{weight};
    }

    return $json->encode({ %document, %more });
}


# one request: kind, start, end, zone, revision

sub request {
    my ($kind, $start, $end, $zone, $n, %more) = @_;

    return { kind => $kind, who => 'x', start => $start, end => $end,
             since => $start, kept => 0, status => 200, zone => $zone,
             conf => 1, pid => 100 + $zone, revision => $n, error => '',
             a => '', b => '', c => '', %more };
}


sub get {
    my ($start, $end, $zone, $n, $mark, %more) = @_;

    return request('get', $start, $end, $zone, $n, b => text($n, $mark, %more));
}


sub decided {
    my ($start, $end, $zone, $n, $mark, %more) = @_;

    return request('decision', $start, $end, $zone, $n, a => $mark,
                   b => 'rule', c => 'canary', %more);
}


# a PATCH of the rule, as it is asked for and as it is answered

sub change {
    my ($start, $end, $zone, $n, $mark, $op, $text) = @_;

    return request('write', $start, $end, $zone, $n,
                   a => $json->encode({ type => 'patch', mark => $mark,
                                        %{ $op || {} } }),
                   b => $text || text($n, $mark));
}


sub unanswered {
    my ($start, $end, $mark, $op) = @_;

    return request('write', $start, $end, 0, 0, status => 0,
                   error => 'closed without a response',
                   a => $json->encode({ type => 'patch', mark => $mark,
                                        %{ $op || {} } }));
}


sub refused {
    my ($start, $end, $mark, $status, %op) = @_;

    return request('write', $start, $end, 1, 0, status => $status,
                   b => '{"detail":"nothing was changed"}',
                   a => $json->encode({ type => 'patch', mark => $mark,
                                        %op }));
}


sub declared {
    my ($start, $end, $zone, $n) = @_;

    return get($start, $end, $zone, $n, 'conf-1', origin => 'nginx.conf');
}


sub journal_line {
    my ($n, $mark, %more) = @_;

    my $document = $json->decode(text($n, $mark, %{ $more{document} || {} }));
    my $origin = delete $document->{origin};

    delete @$document{qw(revision release)};

    my $rest = sprintf '"layout":1,"revision":%d,"time":'
                       . '"2026-01-01T00:00:00.000Z","origin":"%s","author":'
                       . '"127.0.0.1","document":%s}',
                       $n, $origin, $json->encode($document);
    my $checksum = defined $more{checksum} ? $more{checksum}
                                           : sprintf '%016x', xxh64($rest, 0);

    return "{\"checksum\":\"$checksum\",$rest";
}


# a good history: zone 1 from 0 on, zone 2 beside it from 20 on

my @lines = (
    journal_line(1, 'conf-1', document => { origin => 'nginx.conf' }),
    journal_line(2, 'a'), journal_line(3, 'b'), journal_line(4, 'c'),
    journal_line(5, 'd'), journal_line(6, 'e')
);

my @good = (
    declared(1, 2, 1, 1),
    change(3, 4, 1, 2, 'a', { if => 1 }),
    get(5, 6, 1, 2, 'a'),
    change(7, 8, 1, 3, 'b', { if => 2 }),
    decided(9, 10, 1, 3, 'b'),
    refused(11, 12, 'late', 412, if => 2),
    change(13, 14, 1, 4, 'c', { if => 3 }),
    get(15, 16, 1, 4, 'c'),
    get(21, 22, 2, 4, 'c'),
    change(23, 24, 1, 5, 'd', { if => 4 }),
    decided(24.5, 24.6, 2, 4, 'c'),
    decided(25.5, 25.6, 2, 5, 'd'),
    change(26, 27, 2, 6, 'e', {}),
    decided(26.5, 29, 1, 5, 'd'),
    get(29, 30, 1, 6, 'e'),
);


# the violations of a history; what differs from the good one is given:
# "records", which are added, or "replace", by number; "lines"; and how it ends

sub violations {
    my (%more) = @_;

    my @records = @good;
    my %replace = %{ $more{replace} || {} };

    @records[keys %replace] = values %replace;
    @records = ((grep { defined } @records), @{ $more{records} || [] });

    my $checker = Torture::Checker->new(
        journal => exists $more{journal} ? $more{journal} : 1);

    $checker->declared(1, { mark => 'conf-1', enabled => 1, weight => 10 });
    $checker->zone(1, 0);
    $checker->zone(2, 20);
    $checker->zone(@$_) for @{ $more{zones} || [] };
    $checker->violence(@$_) for @{ $more{violence} || [] };

    # as it is read from a file

    $checker->add(record_of(record_line($_))) for @records;

    if ($checker->{journal}) {
        my @text = @{ $more{lines} || \@lines };

        $checker->line($_, 50) for @{ $more{seen} || \@text };
        $checker->journal(defined $more{text} ? $more{text}
                                              : join '', map { "$_\n" } @text);
    }

    $checker->final($more{final} || get(40, 41, 1, 6, 'e'));

    my @violations = $checker->check;

    note("$_->{what}: $_->{text}") for @violations;

    return @violations;
}


# their kinds

sub found {
    my %what = map { $_->{what} => 1 } violations(@_);

    return join ' ', sort keys %what;
}


# the same, for a change after which the end is revision 7

sub longer {
    my ($mark, @records) = @_;

    return found(records => [ @records ],
                 lines   => [ @lines, journal_line(7, $mark) ],
                 final   => get(40, 41, 1, 7, $mark));
}


# -- what is right

is(found(), '', 'the good history');

is(longer('x', unanswered(31, 32, 'x'),
          get(33, 34, 1, 7, 'x')), 'connection',
   'a write that had no answer may be made, but why had it none');

is(found(records  => [ unanswered(31, 32, 'x') ],
         violence => [ ['kill', 31.5, 31.5] ]), '', 'or may not');

is(longer('x', request('write', 31, 32, 1, 0, status => 503,
                       b => '{"detail":"busy"}',
                       a => '{"type":"patch","mark":"x"}'),
          get(33, 34, 1, 7, 'x')),
   'refused', 'a 503 that says nothing about it');

{
    local $Torture::Checker::unknown = qr/busy/;

    is(longer('x', request('write', 31, 32, 1, 0, status => 503,
                           b => '{"detail":"busy"}',
                           a => '{"type":"patch","mark":"x"}')),
       '', 'a 503 by which it may have been made');
}

is(found(records => [
             request('write', 31, 32, 1, 7, conf => 1,
                     a => '{"type":"delete","if":6}',
                     b => text(7, 'conf-1', origin => 'nginx.conf')),
             request('write', 33, 34, 1, 7, conf => 1,
                     a => '{"type":"delete"}',
                     b => text(7, 'conf-1', origin => 'nginx.conf')) ],
         lines   => [ @lines, journal_line(7, 'conf-1', document =>
                                           { origin => 'nginx.conf' }) ],
         final   => declared(40, 41, 1, 7)),
   '', 'DELETE, and one that finds nothing to do');

is(longer('c', request('write', 31, 32, 1, 7, b => text(7, 'c'),
                       a => '{"type":"revert","target":4,"if":6}')),
   '', 'a revert');

is(found(lines => [ @lines[3 .. 5] ], seen => \@lines), '',
   'a journal that has forgotten the first ones');

is(found(records => [ decided(24.1, 24.9, 2, 4, 'c') ]), '',
   'another zone may take a second');


# -- lost updates

is(found(replace => { 6 => change(13, 14, 1, 4, 'c', { if => 2 }) }),
   'base', 'a write went over one that it had not seen');

is(found(replace => { 6 => change(13, 14, 1, 4, 'c', { if => 3, weight => 20 },
                                  text(4, 'c')) }),
   'base', 'a part of a change is missing');

my $switched = text(2, 'a', enabled => JSON::PP::false);

is(found(replace => { 1 => change(3, 4, 1, 2, 'a', { if => 1, enabled => 0 },
                                  $switched),
                      2 => get(5, 6, 1, 2, 'a', enabled => JSON::PP::false) },
         lines   => [ $lines[0],
                      journal_line(2, 'a', document =>
                                   { enabled => JSON::PP::false }),
                      @lines[2 .. 5] ]),
   'base', 'a change of weights undoes the kill switch of before');

is(found(replace => { 6 => change(13, 14, 1, 4, 'c', { if => 3 },
                                  text(4, 'c', salt => 'other')),
                      7 => undef, 8 => undef },
         journal => 0),
   'base', 'what nobody has asked for is changed');


# -- revisions that are there twice, or that should not be

is(found(records => [ change(12, 14, 1, 4, 'x', {}) ]),
   'content duplicate', 'two writes were answered with one revision');

is(longer('d', get(33, 34, 1, 7, 'd')), 'duplicate',
   'one write is two revisions');

is(found(records  => [ unanswered(31, 32, 'x'), unanswered(31, 32, 'y'),
                       get(33, 34, 1, 7, 'x') ],
         violence => [ ['kill', 31.5, 31.5] ],
         lines    => [ @lines, journal_line(7, 'x'), journal_line(8, 'x') ],
         final    => get(40, 41, 1, 8, 'x')),
   'duplicate', 'and so is one that had no answer');

is(longer('late', get(33, 34, 1, 7, 'late')), 'refused',
   'a write that got a 412 was made');

is(longer('busy', refused(31, 32, 'busy', 503)), 'refused',
   'a write that got a 503 was made');

is(found(records => [ refused(31, 32, 'busy', 503),
                      decided(33, 34, 1, 7, 'busy') ],
         final   => decided(40, 41, 1, 7, 'busy')),
   'forgotten refused', 'and decides, though it is in no journal');

is(longer('dry', request('write', 31, 32, 1, 7, b => text(7, 'dry'),
                         a => '{"type":"patch","mark":"dry","dry":1}')),
   'refused', 'a dry run was made');

is(longer('ghost', get(33, 34, 1, 7, 'ghost')), 'unmade',
   'a revision that nobody has made');

is(found(replace => { 7 => get(15, 16, 1, 4, 'b') }),
   'content', 'a revision with the content of another one');

is(found(lines => [ @lines[0 .. 4], journal_line(6, 'e', document =>
                                                 { weight => 11 }) ]),
   'content', 'the journal has another content');

is(longer('c', request('write', 31, 32, 1, 7, b => text(7, 'c'),
                       a => '{"type":"revert","target":5}')),
   'base', 'a revert to another revision than was asked for');

is(found(records => [ request('write', 31, 32, 1, 7, conf => 1,
                              a => '{"type":"delete"}',
                              b => text(7, 'd')) ],
         lines   => [ @lines, journal_line(7, 'd') ],
         final   => get(40, 41, 1, 7, 'd')),
   'base', 'DELETE makes another thing than nginx.conf declares');


my $record = substr journal_line(4, 'b'), 29;

is(found(records => [ request('history', 31, 32, 1, 0, a => 4,
                              b => "{$record") ]),
   'content', 'the history has another content');

is(found(records => [ request('history', 31, 32, 1, 0, a => 3,
                              b => "{$record") ]),
   'content', 'the history has another revision');


# -- order

is(found(replace => { 12 => change(26, 27, 2, 5, 'e', {}),
                      14 => get(29, 30, 1, 5, 'e') },
         lines   => [ @lines[0 .. 3], journal_line(5, 'e') ],
         final   => get(40, 41, 1, 5, 'e')),
   'content duplicate order',
   'a later write has the revision of one before');

is(found(replace => { 6 => change(6.1, 6.2, 1, 4, 'c', { if => 3 }) }),
   'order stale', 'a revision was answered before that of its base was tried');


# -- what is seen

is(found(records => [ decided(14.1, 14.2, 1, 3, 'b') ]),
   'stale', 'a stale decision in the same zone');

is(found(records => [ get(8.1, 8.2, 1, 2, 'a') ]),
   'stale', 'a stale document in the same zone');

is(found(records => [ decided(7.5, 7.6, 1, 3, 'b'),
                      decided(7.7, 7.8, 1, 2, 'a') ]),
   'stale', 'it goes back before the answer is there');

is(found(records => [ decided(25.2, 25.3, 2, 4, 'c') ]),
   'stale', 'another zone takes longer than a second');

is(found(zones   => [ [ 3, 24.1 ] ],
         records => [ decided(24.2, 24.3, 3, 4, 'c') ]),
   'forgotten', 'a new zone has none');

is(found(zones   => [ [ 3, 23.5 ] ],
         records => [ decided(24.2, 24.3, 3, 4, 'c') ]),
   '', 'but for what was answered since');

is(found(records => [ decided(15.1, 15.2, 1, 4, 'b') ]),
   'decision', 'a decision by the rule of another revision');

is(found(records => [ decided(15.1, 15.2, 1, 4, '', b => 'degraded',
                              c => 'stable') ]),
   'decision', 'a degraded decision');


# -- what is forgotten

is(found(final => get(40, 41, 1, 5, 'd')), 'forgotten stale',
   'the end is not the last that was answered');

is(found(zones => [ [ 3, 39 ] ], final => get(40, 41, 3, 5, 'd')), 'forgotten',
   'a restart has forgotten the last one');

is(found(zones => [ [ 3, 39 ] ], final => declared(40, 41, 3, 1)), 'forgotten',
   'a restart has forgotten all');

is(found(zones => [ [ 3, 39 ] ], final => declared(40, 41, 3, 7)),
   'forgotten taken-up', 'a restart has taken up nginx.conf instead');

is(found(lines => [ @lines[0 .. 4] ]), 'forgotten journal',
   'the last one is not in the journal');

is(found(final => request('get', 40, 41, 1, 0, status => 500)), 'status',
   'there is no answer at the end');


# -- the journal itself

is(found(lines => [ @lines[0 .. 1, 3 .. 5] ]), 'journal',
   'a revision is missing in it');

is(found(lines => [ @lines[0 .. 2, 4, 3, 5] ]), 'journal', 'it has an order');

is(found(lines => [ @lines[0 .. 3], @lines[3 .. 5] ]), 'journal',
   'it has a line twice');

is(found(lines => [ @lines[0 .. 4], journal_line(6, 'e', checksum =>
                                                 '0123456789abcdef') ]),
   'forgotten journal', 'a checksum is wrong');

is(found(text => join('', map { "$_\n" } @lines) . '{"checksum":"01234'),
   'journal', 'it has half a line');

is(found(seen => [ @lines,
                   journal_line(4, 'c', document => { weight => 11 }) ]),
   'content journal', 'a line was another one before');


# -- what else would show, but not by this text

sub says {
    my ($text, %more) = @_;

    ok(scalar(grep { $_->{text} =~ /$text/ } violations(%more)),
       "it says: $text");
}

says('the answer is no document', replace => {
    7 => request('get', 15, 16, 1, 4, b => 'none')
});

says('the ETag says 4, the document 3', replace => {
    7 => request('get', 15, 16, 1, 4, b => text(3, 'b'))
});

says('no line of a journal: \{', lines => [ @lines[0 .. 4], '{"revision":6}' ]);

says('a wrong checksum: \{', lines => [
    @lines[0 .. 4], journal_line(6, 'e', checksum => '0123456789abcdef')
]);

my $nothing = '"revision":6}';

says('no revision with a document: \{', lines => [
    @lines[0 .. 4],
    sprintf '{"checksum":"%016x",%s', xxh64($nothing, 0), $nothing
]);

says('it does not end with a line: .*"01234',
     text => join('', map { "$_\n" } @lines) . '{"checksum":"01234');

says('the end is revision 5, and 6 has been seen',
     final => get(40, 41, 1, 5, 'd'));

says('there is no answer at the end',
     final => request('get', 40, 41, 1, 0, status => 500));


# -- answers

for my $status (500, 502, 503) {
    for my $kind ('decision', 'site', 'history') {
        is(found(records => [ request($kind, 31, 32, 1, 0,
                                      status => $status) ]),
           'status', "$kind: a client gets $status");
    }
}

is(found(records => [ refused(31, 32, 'x', 500) ]), 'status',
   'a write gets 500');

is(found(records => [ refused(31, 32, 'x', 412) ]), 'status',
   'a write without a condition gets 412');


# -- connections

sub broken {
    my ($error, $kept, $since, @violence) = @_;

    return found(records  => [ request('decision', 31, 31.1, 0, 0, status => 0,
                                       since => $since, kept => $kept,
                                       error => $error) ],
                 violence => [ @violence ? [ @violence ] : () ]);
}

my $closed = 'closed without a response';
my $none = 'connect: Connection refused';

is(broken($closed, 0, 31), 'connection', 'nobody broke it');
is(broken($closed, 0, 31, 'kill', 31.05, 31.05), '', 'a kill did');
is(broken($closed, 0, 31, 'kill', 29, 29), 'connection', 'not one long ago');
is(broken($closed, 9, 28, 'kill', 29, 29), '',
   'but where the connection was idle since');
is(broken($closed, 9, 28, 'quit', 29, 29.1), '', 'a reload ends idle ones');
is(broken($closed, 0, 31, 'quit', 30.9, 31.1), 'connection', 'but no new ones');
is(broken($none, 0, 31, 'kill', 31.05, 31.05), 'connection',
   'a kill of a worker does not end the listener');
is(broken($none, 0, 31, 'down', 30, 32), '', 'where nobody listens');
is(broken('timed out in reading', 0, 31, 'down', 30, 32), 'connection',
   'nothing takes that long');

done_testing();
