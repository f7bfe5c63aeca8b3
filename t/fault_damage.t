#!/usr/bin/perl

# Copyright (C) the nginx gray module authors
#
# Journals that a disk, a crash or a person has damaged, when nginx starts and
# while it runs: the last good revision serves, no number of a revision is used
# twice, and what was damaged is kept.

use strict;
use warnings;

use FindBin;
use JSON::PP ();
use POSIX ();
use Test::More;
use Time::HiRes;

BEGIN { $ENV{TEST_TIME_LIMIT} ||= 400 }

use lib "$FindBin::Bin/lib";
use Test::Gray;
use Test::Gray::Fault;
use Test::Gray::Record;
use Test::Gray::Process;
use Test::Gray::Running;

my $t = Test::Gray->new;
my $state = $t->dir . '/state';
my $root = $> == 0;

# where nginx is slow, some of the many

my $step = $ENV{TEST_NGINX_WRAPPER} ? 41 : $ENV{TEST_SANITIZER_LOG} ? 7 : 1;


sub text {
    my ($document, @names) = @_;

    my $releases = join '',
        map { "gray_release $_ { zone gray; hash \$arg_uid; variant off;"
              . " variant on weight=5%; }\n" } @names;

    return <<"END";
worker_processes 2;
worker_rlimit_nofile 4096;

http {
    gray_zone gray 32m document=$document state=state stats=off;
    variables_hash_max_size 65536;
    variables_hash_bucket_size 128;
    keepalive_requests 100000;
    $releases
    server {
        listen 127.0.0.1:%%PORT%%;
        location = /on { return 200 \$gray_app; }
        location /gray/ { gray_admin; }
    }
}
END
}


# of revision 1 to 6, each with ten times that as the weight

sub document {
    my ($weight, $more) = @_;

    my $rules = $more ? '{"when":{"$arg_x":"' . 'x' x $more
                        . '"},"variant":"on"}' : '';

    return '{"enabled":true,"baseline":"off","salt":"app","variants":{"off":'
           . "{},\"on\":{\"weight\":$weight}},\"rules\":[$rules],"
           . "\"allocation\":{\"on\":[[0,${weight}0000]]}}";
}

my @lines = map { journal_line($_, document(10 * $_)) } 1 .. 6;
my $journal = join '', @lines;


sub put_journal {
    my ($name, $bytes, $mode) = @_;

    $t->write_file("state/$name.jsonl", $bytes);
    chown((getpwnam 'nobody')[2], -1, "$state/$name.jsonl") if $root;
    chmod(defined $mode ? $mode : 0600, "$state/$name.jsonl");

    return;
}


sub bytes { return slurp("$state/$_[0].jsonl") }
sub aside { return slurp("$state/$_[0].jsonl.bad") }
sub get { return $t->api('GET', "/gray/releases/$_[0]")->{json} }
sub weight { return get($_[0])->{variants}{on}{weight} }
sub last_record { return (journal_records(bytes($_[0])))[-1] }


sub patch {
    my ($name, $weight) = @_;

    return $t->api('PATCH', "/gray/releases/$name",
                   { variants => { on => { weight => $weight } } });
}


sub known {
    my ($name) = @_;

    my ($known) = grep { $_->{release} eq $name }
                  @{ $t->api('GET', '/gray/status')->{json}{releases} };
    return $known;
}


# one request after the other on a connection; their answers in order

sub pipeline {
    my ($method, $body, @names) = @_;

    my $connection = $t->http(undef, timeout => 60)->connect;
    my @answers;

    while (my @some = splice @names, 0, 100) {
        $connection->send(join '', map {
            Test::Gray::HTTP::request_text($method, "/gray/releases/$_",
                [ $body ? ('Content-Type' => 'application/json') : () ], $body)
        } @some);

        push @answers, map {
            my $answer = $connection->receive($method);
            $answer->{json} = JSON::PP::decode_json($answer->{body});
            $answer;
        } @some;
    }

    return @answers;
}


# -- all that can be wrong with a file when nginx starts

# [ release, bytes, weight that must serve, least and last revision, whether
#   the file is kept aside ]

my @cases;
my %group;

sub add {
    my ($group, @case) = @_;

    push @cases, \@case;
    push @{ $group{$group} }, \@case;

    return;
}

my $half = length join '', @lines[0 .. 2];
my $tail = length($journal) - $half;

for (my $at = 0; $at <= $tail; $at += $step) {
    my $bytes = substr $journal, 0, $half + $at;
    my $whole = () = $bytes =~ /\n/g;

    add('cut', "c$at", $bytes, 10 * $whole, $whole, $whole, 0);
}

for (my $at = 0; $at < $tail; $at += $step) {
    my $bytes = $journal;

    vec($bytes, 8 * ($half + $at) + $at % 8, 1) ^= 1;

    # in front of the last line it costs no revision that serves

    my @records = journal_records($bytes);
    my ($good) = reverse grep { defined } @records;

    add('flip', "f$at", $bytes, 10 * $good->{revision},
        $good->{revision} == 6 ? (6, 6) : (7, 1e15), 1);
}

# a bit of each byte of the only line there is

for (my $at = 0; $at < length $lines[2]; $at += $step) {
    my $bytes = $lines[2];

    vec($bytes, 8 * $at + ($at + 3) % 8, 1) ^= 1;

    add('alone', "a$at", $bytes, 5, $at == length($bytes) - 1 ? 1 : 2, 1e15,
        1);
}

my $binary = join '', map { chr } map { ($_ * 7919 >> 3) % 256 } 1 .. 100000;

add('empty', 'e', '', 5, 1, 1, 0);
add('zeros behind', 'z', $journal . "\0" x 4096, 60, 6, 7, 0);
add('text behind', 't1', "${journal}hello\n", 60, 7, 1e15, 1);
add('text behind', 't2', "${journal}hello", 60, 6, 7, 0);
add('text behind', 't3', "$journal\n", 60, 7, 1e15, 1);
add('text behind', 't4', "$journal\n\n\n\n", 60, 7, 1e15, 1);
add('random bytes behind', 'b', $journal . $binary, 60, 7, 1e15, 1);
add('half a record behind', 'h', $journal . substr($lines[0], 0, 150), 60, 6,
    7, 0);
add('random bytes alone', 'r', $binary, 5, 2, 1e15, 1);
add('zeros alone', 'y', "\0" x 100000, 5, 1, 1e15, 1);
add('random bytes in front of', 'q', $binary . "\n" . $journal, 60, 6, 6, 1);

my %what = (
    cut   => 'cut at each byte of its last three records',
    flip  => 'one bit flipped at each byte of its last three records',
    alone => 'one bit flipped at each byte of the only record there is',
    map({ $_ => "$_ what is good" }
        'zeros behind', 'text behind', 'random bytes behind',
        'half a record behind', 'random bytes in front of'),
);

$what{$_} ||= $_ for keys %group;

my @names = map { $_->[0] } @cases;

mkdir $state;
chown((getpwnam 'nobody')[2], -1, $state) if $root;
chmod 0700, $state;
put_journal(@$_[0, 1]) for @cases;

my $began = Time::HiRes::time();

$t->config(text('1k', 'app', @names))->start;
note(@cases . ' releases, nginx starts in ', Time::HiRes::time() - $began);


# what is wrong with a case; nothing, if all is as it must be

sub wrong {
    my ($case, $answer, $written) = @_;

    my ($name, $bytes, $weight, $from, $to, $kept) = @$case;
    my $json = $answer->{json};
    my $revision = $json->{revision};
    my @records = journal_records(bytes($name));
    my $last = $records[-1];
    my @wrong;

    push @wrong, "status $answer->{status}" if $answer->{status} != 200;
    push @wrong, "weight $json->{variants}{on}{weight}, must be $weight"
        if $json->{variants}{on}{weight} != $weight;
    push @wrong, "revision $revision, must be $from to $to"
        if $revision < $from || $revision > $to;
    push @wrong, 'a damaged line is left' if grep { !defined } @records;
    push @wrong, 'the file was not kept' if $kept && aside($name) ne $bytes;
    push @wrong, 'a file that is not damaged was kept'
        if !$kept && -e "$state/$name.jsonl.bad";
    push @wrong, "a write: $written->{status}" if $written->{status} != 200;
    push @wrong, "it is revision $written->{json}{revision} after $revision"
        if ($written->{json}{revision} || 0) != $revision + 1;
    push @wrong, 'it is not the last one in the file'
        if !$last || $last->{revision} != $revision + 1
           || $last->{document}{variants}{on}{weight} != 99;

    return map { "$name: $_" } @wrong;
}

my @answers = pipeline('GET', undef, @names);

journals_rest($state);

my @written = pipeline('PATCH', '{"variants":{"on":{"weight":99}}}', @names);

is(scalar(grep { $_->{status} == 200 } @written), scalar @names,
   'all can be changed');

my %wrong;

for my $i (0 .. $#cases) {
    my @wrong = wrong($cases[$i], $answers[$i], $written[$i]);
    $wrong{$names[$i]} = \@wrong if @wrong;
}

my $log = $t->log;

$t->stop;
$t->start;

@answers = pipeline('GET', undef, @names);

for my $i (0 .. $#cases) {
    my $json = $answers[$i]{json};

    push @{ $wrong{$names[$i]} }, "$names[$i]: another one after a restart"
        if $json->{variants}{on}{weight} != 99
           || $json->{revision} != ($written[$i]{json}{revision} || 0);
}

for my $group (sort keys %group) {
    my @wrong = map { @{ $wrong{$_->[0]} || [] } } @{ $group{$group} };

    is(scalar @wrong, 0, scalar @{ $group{$group} } . ": $what{$group}")
        or diag(join "\n", @wrong > 20 ? (@wrong[0 .. 19], '...') : @wrong);

    # a file that is damaged, and one that ends in the middle

    my @silent = grep {
        my ($name, $bytes, undef, undef, undef, $kept) = @$_;
        my $says = $kept ? qr/\[error\] .*"[^"]*\/$name\.jsonl": \d+ lines are damaged, the file is kept as "[^"]*\/$name\.jsonl\.bad"/
                 : $bytes =~ /[^\n]\z/
                   ? qr/\[warn\] .*"[^"]*\/$name\.jsonl": cut off \d+ bytes of a write that was not finished/
                 : qr/^/;
        $log !~ $says;
    } @{ $group{$group} };

    is(scalar @silent, 0, 'the log says so')
        or diag(join ' ', map { $_->[0] } @silent);

    # declared is what has 5

    record('Journals when nginx starts', $what{$group},
           ($group{$group}[0][2] == 5 ? 'what nginx.conf declares'
                                      : 'what was good last')
           . ' serves, and can be changed; no number is used twice, the log '
           . 'says what is wrong',
           @wrong ? scalar(@wrong) . ' faults'
           : @silent ? 'nothing in the log' : 'the same');
}


# -- 1 GiB that is none of ours

for (['zeros behind what is good', $journal, '' ],
     ['zeros and random bytes', '', "\n$binary\n" ],
     ['zeros between two halves of what is good',
      join('', @lines[0 .. 2]), "\n" . join '', @lines[3 .. 5] ])
{
    my ($what, $front, $behind) = @$_;

    $t->stop;
    unlink glob "$state/app*";

    put_journal('app', $front);
    truncate "$state/app.jsonl", 2 ** 30;

    open my $fh, '>>:raw', "$state/app.jsonl" or die "app.jsonl: $!\n";
    print $fh $behind;
    close $fh;

    $t->config(text('1k', 'app'));

    $t->start;

    # of the processor: others may use it, too

    my ($user, $system) = slurp('/proc/' . $t->master . '/stat')
                          =~ /.*\)(?: \S+){11} (\d+) (\d+)/s;
    my $took = ($user + $system) / POSIX::sysconf(POSIX::_SC_CLK_TCK());
    my $expected = $front || $behind =~ /checksum/ ? 60 : 5;

    note("$what: the master needs $took s");
    cmp_ok($took, '<', 10 * $Test::Gray::Process::scale,
           "1 GiB of $what: nginx starts");
    is(weight('app'), $expected, 'what was good last serves');
    ok(wait_until(sub { -s "$state/app.jsonl" < 1e6 }), 'it is short again');

    my $answer = patch('app', 98);

    is($answer->{status}, 200, 'it can be changed');
    is(last_record('app')->{document}{variants}{on}{weight}, 98,
       'and is in the file');

    record('Journals when nginx starts', "1 GiB of $what",
           'nginx starts in 10 s, what was good last serves, and can be '
           . 'changed',
           $took < 10 * $Test::Gray::Process::scale
           && $answer->{status} == 200 ? 'the same' : 'not so');
}

$t->stop;
unlink glob "$state/*";


# -- a layout to come

my $newer = $journal . journal_line(7, '{"of":"another kind"}', layout => 2)
            . journal_line(8, '[]', layout => 3, more => 1);

put_journal('newer', $newer);
put_journal('app', $journal);

$t->config(text('1k', 'app', 'newer'))->start;

my @before = (bytes('newer'), (stat "$state/newer.jsonl")[1, 9]);

is(weight('newer'), 5, 'a layout to come: what is declared serves');

my @refused = map { $t->api(@$_) } (
    [ PATCH => '/gray/releases/newer', { enabled => JSON::PP::false } ],
    [ DELETE => '/gray/releases/newer' ],
    [ PATCH => '/gray/releases/newer',
      { variants => { on => { weight => 7 } } } ] );

is_deeply([ map { $_->{status} } @refused[0, 2] ], [ 503, 503 ],
          'writes: 503');
is($refused[0]{json}{detail}, 'the journal of the release was written by a '
                              . 'newer version of the module, and is left '
                              . 'alone; nothing was changed', 'detail');
is(known('newer')->{journal}, 'written by a newer version of the module, and '
                              . 'left alone', 'status');
like($t->log, qr/\[error\] .*newer\.jsonl" was written by a newer version of the module, it is left alone/,
     'log');
is(patch('app', 70)->{status}, 200, 'others can be written');
sleep 1;
ok($t->reload(gone => 1), 'reload');
$t->stop;
$t->start;
is(weight('newer'), 5, 'after a restart');
is_deeply([ bytes('newer'), (stat "$state/newer.jsonl")[1, 9] ], \@before,
          'the file is left alone, byte for byte');
ok(!-e "$state/newer.jsonl.bad", 'nothing is kept aside');

record('Journals when nginx starts', 'lines of a newer layout, as after a '
       . 'downgrade',
       'what nginx.conf declares serves, writes: 503, the file is left alone',
       weight('newer') == 5 && $refused[0]{status} == 503
       && bytes('newer') eq $before[0] ? 'the same' : 'not so');

put_journal('newer', $journal);
ok(wait_until(sub { weight('newer') == 60 }), 'an older file is put back');
is(patch('newer', 61)->{json}{revision}, 7, 'and goes on');
is(known('newer')->{journal}, 'ok', 'status');


# -- layout 1, as it was written once

my $old = <<'END';
{"checksum":"cd1f6845ea43a814","layout":1,"revision":1,"time":"2026-11-29T18:41:26.573Z","origin":"nginx.conf","author":"nginx.conf","user":null,"comment":null,"document":{"enabled":true,"baseline":"off","salt":"app","variants":{"off":{},"on":{"weight":5}},"rules":[],"allocation":{"on":[[0,50000]]}}}
{"checksum":"65bc67162f48c9ba","layout":1,"revision":2,"time":"2026-11-29T18:41:26.580Z","origin":"api","author":"127.0.0.1","user":null,"comment":null,"document":{"enabled":true,"baseline":"off","salt":"app","variants":{"off":{},"on":{"weight":1}},"rules":[],"allocation":{"on":[[0,10000]]}}}
{"checksum":"1f4dbc0217307e2d","layout":1,"revision":3,"time":"2026-11-29T18:41:26.584Z","origin":"api","author":"127.0.0.1","user":null,"comment":null,"document":{"enabled":true,"baseline":"off","salt":"app","variants":{"off":{},"on":{"weight":2}},"rules":[],"allocation":{"on":[[0,20000]]}}}
END

$t->stop;
put_journal('app', $old);
$t->start;

is_deeply([ @{ get('app') }{qw(revision origin)}, weight('app') ],
          [ 3, 'api', 2 ], 'layout 1: serves');
is(bytes('app'), $old, 'as it is');
is_deeply($t->api('GET', '/gray/releases/app/history')->{json}{revisions}[1],
          { revision => 2, time => '2026-11-29T18:41:26.580Z',
            origin => 'api', author => '127.0.0.1', user => undef,
            comment => undef,
            document => { enabled => JSON::PP::true, baseline => 'off',
                          salt => 'app', rules => [],
                          variants => { off => {}, on => { weight => 1 } },
                          allocation => { on => [ [ 0, 10000 ] ] } } },
          'its history');
is(patch('app', 3)->{json}{revision}, 4, 'and on');
is(bytes('app') =~ /\A\Q$old\E/, 1, 'behind what was there');

record('Journals when nginx starts', 'a file of layout 1, the first one',
       'serves, and goes on',
       weight('app') == 3 ? 'the same' : 'not so');


# -- documents that do not belong there

my $routed = '{"enabled":true,"baseline":"stable","salt":"shop","variants":'
             . '{"stable":{"upstream":"v1"},"canary":{"upstream":"v2",'
             . '"weight":50}},"rules":[],"allocation":{"canary":[[0,500000]]}}';
my $others = '{"enabled":true,"baseline":"blue","salt":"shop","variants":'
             . '{"blue":{},"green":{"weight":100}},"rules":[],"allocation":'
             . '{"green":[[0,1000000]]}}';

for my $case ([ 'another release with the same kind of variants' => $others,
                'it serves, as if it was put back', 'green' ],
              [ 'a release with upstreams, while this one has none' => $routed,
                'what nginx.conf declares serves', 'off' ],
              [ 'nobody: a number' => '17',
                'what nginx.conf declares serves', 'off' ],
              [ 'nobody: an empty object' => '{}',
                'what nginx.conf declares serves', 'off' ])
{
    my ($what, $document, $expected, $variant) = @$case;

    $t->stop;
    put_journal('app', $journal . journal_line(7, $document));
    $t->start;

    my $answer = $t->get('/on');

    is($answer->{status}, 200, "a document of $what: requests are served");
    is($answer->{body}, $variant, $expected);
    is(known('app')->{revision} >= 7, 1, 'no number is used twice')
        or diag(known('app')->{revision});

    my $back = $t->api('DELETE', '/gray/releases/app');

    is($back->{status}, 200, 'DELETE') or diag($back->{body});

    my $written = patch('app', 44);

    is($written->{status}, 200, 'it can be changed') or diag($written->{body});
    is(last_record('app')->{document}{variants}{on}{weight}, 44, 'in the file');

    record('Journals when nginx starts', "a document of $what",
           "$expected, and can be changed",
           $answer->{body} eq $variant && $written->{status} == 200
           ? 'the same' : 'not so');
}


# -- one that is too long

$t->stop;
put_journal('app', $journal . journal_line(7, document(70, 5000)));

my @stat = stat "$state/app.jsonl";
my ($status, $said) = $t->test_config(text('1k', 'app', 'newer'));
my $len = length document(70, 5000);

is($status, 1, 'a document that is too long for the zone: nginx -t');

my ($needed) = $said =~ /\[emerg\] gray_zone "gray": release "app" has a live document of $len bytes, revision 7: document=SIZE must be at least (\d+)k$/m;

ok($needed, 'says what is needed') or diag($said);
is(bytes('app'), $journal . journal_line(7, document(70, 5000)),
   'the file is left alone');

($status, $said) = $t->test_config(text($needed - 1 . 'k', 'app', 'newer'));
is($status, 1, 'a little less is refused');

$t->config(text("${needed}k", 'app', 'newer'))->start;
is(weight('app'), 70, 'with that size it serves');
is(get('app')->{revision}, 7, 'as it is');

record('Journals when nginx starts', 'a document that is longer than '
       . '`document=SIZE` allows',
       'nginx does not start, and says what is needed; with that it serves',
       $needed && weight('app') == 70 ? 'the same' : 'not so');


# -- while nginx runs

my $running = Test::Gray::Running->new($t);


sub mended {
    my ($what, $code, %option) = @_;

    my $revision = patch('app', 10 + int rand 80)->{json}{revision};

    # nothing of what was before is under way, or is to be looked at

    ok(wait_until(sub {
        my $last = last_record('app');
        return $last && $last->{revision} == $revision;
    }), "$what: before");

    my $live = get('app');
    my $bytes = bytes('app');

    unlink "$state/app.jsonl.bad";

    my $kept = $code->($bytes);
    my $since = $running->now;
    my $mended = wait_until(sub {
        my @records = -f "$state/app.jsonl" ? journal_records(bytes('app'))
                                            : (undef);

        return @records && !grep({ !defined } @records)
               && $records[-1]{revision} == $revision
               && $records[-1]{document}{variants}{on}{weight}
                  == $live->{variants}{on}{weight};
    });
    my $took = $running->now - $since;

    note("$what: $took s");
    ok($mended, "$what: is mended")
        or diag(substr(bytes('app'), 0, 2000));
    cmp_ok($took, '<', 1 * $Test::Gray::Process::scale, 'within a second');
    is(get('app')->{revision}, $revision, 'the revision is the same');

    my $is_kept = !defined $kept || aside('app') eq $kept;

    ok($is_kept, 'it is kept') if defined $kept;

    my $written = patch('app', 5);

    is($written->{status}, 200, 'it can be changed') or diag($written->{body});
    is($written->{json}{revision}, $revision + 1, 'to the next revision');
    is(last_record('app')->{revision}, $revision + 1, 'in the file');

    record('Journals while nginx runs', $what,
           'the file has what is in force within 1 s',
           $mended && $took < 1 * $Test::Gray::Process::scale
           && $written->{status} == 200 && $is_kept ? 'the same' : 'not so');

    return;
}

my $put = sub { my ($bytes) = @_; sub { put_journal('app', $bytes); undef } };

mended('removed', sub { unlink "$state/app.jsonl"; undef });
mended('made empty', sub { truncate "$state/app.jsonl", 0; undef });
mended('cut in the middle of the last record', sub {
    truncate "$state/app.jsonl", length($_[0]) - 20;
    undef;
});
mended('cut behind an older record', sub {
    truncate "$state/app.jsonl", length $lines[0];
    undef;
});
mended('replaced by an older copy', sub {
    put_journal('other', $journal);
    rename "$state/other.jsonl", "$state/app.jsonl";
    undef;
});
mended('text is appended', sub {
    open my $fh, '>>', "$state/app.jsonl" or die "app.jsonl: $!\n";
    print $fh "hello\n";
    close $fh;
    return "$_[0]hello\n";
});
mended('half a line is appended', sub {
    open my $fh, '>>', "$state/app.jsonl" or die "app.jsonl: $!\n";
    print $fh 'hello';
    close $fh;
    undef;
});
mended('overwritten by text', sub {
    put_journal('app', "hello\n" x 5);
    return "hello\n" x 5;
});
mended('overwritten by zeros', sub {
    put_journal('app', "\0" x 1000);
    return "\0" x 1000;
});
mended('overwritten in place, with as many bytes', sub {
    my ($bytes) = @_;

    open my $fh, '+<', "$state/app.jsonl" or die "app.jsonl: $!\n";
    print $fh 'x' x length $bytes;
    close $fh;
    return 'x' x length $bytes;
});
mended('one byte of the last record is another', sub {
    my ($bytes) = @_;

    my $pos = length($bytes) - 30;

    open my $fh, '+<', "$state/app.jsonl" or die "app.jsonl: $!\n";
    seek $fh, $pos, 0;
    print $fh '~';
    close $fh;
    substr $bytes, $pos, 1, '~';
    return $bytes;
});
mended('damaged, and there is a `.bad` already', sub {
    $t->write_file('state/app.jsonl.bad', 'of long ago');
    put_journal('app', "hello\n");
    return "hello\n";
});

# somebody puts back a file that is newer: it is taken for what it is

put_journal('app', journal_line(5000, document(77)));
ok(wait_until(sub { weight('app') == 77 }), 'a newer file is put there');
is(get('app')->{revision}, 5000, 'with its revision');
is(patch('app', 3)->{json}{revision}, 5001, 'and goes on');


# what no write is possible with: not by a symlink, and nothing hangs

sub blocked {
    my ($what, $code, $detail) = @_;

    my $revision = patch('app', 10 + int rand 80)->{json}{revision};
    my $weight = weight('app');

    rename "$state/app.jsonl", "$state/away" or die "app.jsonl: $!\n";
    my $bytes = slurp("$state/away");
    $code->();

    my $since = Time::HiRes::time();
    my $answer = patch('app', 9);

    is($answer->{status}, 503, "$what: a write") or diag($answer->{body});
    like($answer->{json}{detail}, qr/nothing was changed: $detail$/, 'detail');
    cmp_ok(Time::HiRes::time() - $since, '<',
           2 * $Test::Gray::Process::scale, 'at once');
    is_deeply([ get('app')->{revision}, weight('app') ],
              [ $revision, $weight ], 'nothing was changed');
    is($t->get('/on')->{status}, 200, 'requests are served');
    is(patch('newer', 10 + int rand 80)->{status}, 200,
       'another release can be changed');
    ok(wait_until(sub { known('app')->{journal} ne 'ok' }), 'status');
    ok($t->wait_log(qr/\[error\] .*app\.jsonl"/), 'log');

    ok($t->reload(gone => 1), 'nginx reloads');
    is(weight('app'), $weight, 'with what is in force');

    -d "$state/app.jsonl" && !-l "$state/app.jsonl"
        ? rmdir "$state/app.jsonl" : unlink "$state/app.jsonl";
    rename "$state/away", "$state/app.jsonl" or die "away: $!\n";

    ok(wait_until(sub { known('app')->{journal} eq 'ok' }), 'it is back');
    is(bytes('app'), $bytes, 'as it was');

    my $back = patch('app', 9);

    is($back->{status}, 200, 'it can be changed');
    is($back->{json}{revision}, $revision + 1, 'to the next revision');

    record('Journals while nginx runs', $what,
           'writes: 503, nothing is changed, requests are served; after that '
           . 'all is as before',
           $answer->{status} == 503 && $back->{status} == 200
           ? 'the same' : 'not so');

    return;
}

$t->write_file('precious', "precious\n");
chmod 0666, $t->dir . '/precious';

blocked('a symlink to another file in its place',
        sub { symlink $t->dir . '/precious', "$state/app.jsonl" },
        'open\(\): Too many levels of symbolic links');
is($t->read_file('precious'), "precious\n", 'what it leads to is left alone');
blocked('a symlink that leads nowhere in its place',
        sub { symlink $t->dir . '/none', "$state/app.jsonl" },
        'open\(\): Too many levels of symbolic links');
ok(!-e $t->dir . '/none', 'nothing was made there');
blocked('a directory in its place', sub { mkdir "$state/app.jsonl" },
        'open\(\): Is a directory');
blocked('a FIFO in its place',
        sub { POSIX::mkfifo("$state/app.jsonl", 0666) or die "fifo: $!\n";
              chmod 0666, "$state/app.jsonl" },
        'open\(\) of a plain file: Invalid argument');
blocked('a device in its place', sub {
            system('mknod', '-m', '666', "$state/app.jsonl", 'c', 1, 3) == 0
                or die "mknod failed\n";
        },
        'open\(\)(?: of a plain file)?: \w[\w ]+')
    if $root;
blocked('permissions 000', sub { put_journal('app', $journal, 0) },
        'open\(\): Permission denied');


# and when nginx starts

for my $case ([ 'a directory', sub { mkdir "$state/app.jsonl" } ],
              [ 'a FIFO', sub { POSIX::mkfifo("$state/app.jsonl", 0666) } ],
              [ 'a symlink', sub { symlink "$state/away",
                                           "$state/app.jsonl" } ])
{
    my ($what, $code) = @$case;

    my $revision = patch('app', 33)->{json}{revision};

    $t->stop;
    rename "$state/app.jsonl", "$state/away" or die "app.jsonl: $!\n";
    $code->();
    $t->start;

    is(weight('app'), 5, "$what when nginx starts: what is declared serves");
    is(patch('app', 9)->{status}, 503, 'writes: 503');
    like($t->log, qr/\[error\] .*app\.jsonl" cannot be read/, 'log');

    -d "$state/app.jsonl" && !-l "$state/app.jsonl"
        ? rmdir "$state/app.jsonl" : unlink "$state/app.jsonl";
    rename "$state/away", "$state/app.jsonl" or die "away: $!\n";

    my $back = wait_until(sub { weight('app') == 33 }, 5);

    ok($back, 'its file is back: it serves');
    is(get('app')->{revision}, $revision, 'as it was');
    is(patch('app', 9)->{json}{revision}, $revision + 1, 'and goes on');

    record('Journals when nginx starts', "$what in its place",
           'what nginx.conf declares serves, writes: 503; once the file is '
           . 'back, it serves',
           $back ? 'the same' : 'not so');
}


# -- a place for what is damaged that is taken

unlink "$state/app.jsonl.bad";
mkdir "$state/app.jsonl.bad" or die "app.jsonl.bad: $!\n";
put_journal('app', "hello\n");

my $answer = patch('app', 20);

is($answer->{status}, 503, 'a directory NAME.jsonl.bad: a write')
    or diag($answer->{body});
is(bytes('app'), "hello\n", 'nothing is lost');
rmdir "$state/app.jsonl.bad";
ok(wait_until(sub { aside('app') eq "hello\n" }), 'it is gone: kept');
is(patch('app', 20)->{status}, 200, 'and can be changed');

record('Journals while nginx runs', 'damaged, and a directory has the name '
       . '`NAME.jsonl.bad`',
       '503 until that is gone; nothing is lost',
       $answer->{status} == 503 && weight('app') == 20
       ? 'the same' : 'not so');

$t->done;
